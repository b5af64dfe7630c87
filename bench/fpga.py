"""What open tools make of the streaming hardware: resources by Yosys, routed clock by nextpnr, beside the estimates.

The network has the shipped shape and random weights, for frames up to 1920 pixels wide; each family is folded as
`edgerecon build` does it for the board. Exits with 1 when a resource exceeds kernels/hls/rtl/budget.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from bench.fpga_tools import Tools, find_tools, route_ecp5, synthesise, within
from edgerecon.core.errors import EdgereconError
from edgerecon.fpga.budget import ASSUMED_CLOCK_MHZ, Fold, Plan, distributed_plan, fit_plan
from edgerecon.fpga.integer_ir import WIDTH, IntegerNetwork
from edgerecon.fpga.rtl import module_folder, weight_words, write_rtl
from edgerecon.hardware.device import load_device
from tests.support.random_stream import random_network

BOARDS = {"pynq-z2": "xc7", "zcu104": "xcup"}
ONLY = {**{board: board for board in BOARDS}, "ecp5-85": "ecp5_layer", "without-dsp": "layer_without_dsp"}


def plan_for(network: IntegerNetwork, board: str) -> Plan:
    part = load_device(board).fpga
    assert part is not None
    return fit_plan(network, part, board)


def synthesised(tools: Tools, network: IntegerNetwork, board: str, family: str) -> dict[str, Any]:
    plan = plan_for(network, board)
    with tempfile.TemporaryDirectory() as folder:
        write_rtl(network, plan, Path(folder))
        measured = synthesise(tools, Path(folder), family)
    return {
        "family": family,
        "cycles_per_pixel": plan.cycles_per_pixel,
        "macs_per_cycle": plan.macs_per_cycle,
        "frames_per_second_512": plan.frames_per_second(512, 512),
        "measured": asdict(measured),
        "estimated": asdict(plan.cost),
    }


def routed(tools: Tools, network: IntegerNetwork) -> dict[str, Any]:
    """The third layer, which has the longest lines, as the ECP5-85 gets it."""
    fold = plan_for(network, "ecp5-85").folds[2]
    layer = {
        "IN": network.layers[2].inputs,
        "OUT": network.layers[2].outputs,
        "IN_STEP": fold.in_step,
        "OUT_STEP": fold.out_step,
        "DILATION": network.layers[2].dilation,
        "MAX_COLUMNS": network.width // 2,
        "PACKED": 0,
        "WEIGHTS": "layer3_weights.mem",
        "ROUNDING": "layer3_rounding.mem",
    }
    with tempfile.TemporaryDirectory() as folder:
        write_rtl(network, plan_for(network, "ecp5-85"), Path(folder))
        return {"device": "LFE5U-85F-6CABGA756", "layer": layer, **route_ecp5(tools, Path(folder), layer)}


def without_dsp(tools: Tools, network: IntegerNetwork) -> dict[str, Any]:
    """The third layer as distributed arithmetic, for xc7."""
    layer = network.layers[2]
    whole = Fold(layer.inputs, layer.outputs)
    constants = f"{8 * layer.weight.size}'h{weight_words(layer, whole).strip()}"
    settings = {
        "IN": layer.inputs,
        "OUT": layer.outputs,
        "IN_STEP": layer.inputs,
        "OUT_STEP": layer.outputs,
        "DILATION": layer.dilation,
        "MAX_COLUMNS": network.width // 2,
        "DISTRIBUTED": 1,
        "CONSTANTS": constants,
        "ROUNDING": "layer3_rounding.mem",
    }
    with tempfile.TemporaryDirectory() as folder:
        write_rtl(network, distributed_plan(network), Path(folder))
        measured = synthesise(tools, Path(folder), "xc7", settings)
    return {"family": "xc7", "cycles_per_pixel": 2, "measured": asdict(measured)}


def commit() -> str:
    """The last one that changed the hardware."""
    command = ["git", "log", "-1", "--format=%h", "--", str(module_folder())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", choices=list(ONLY), help="this alone")
    arguments = parser.parse_args()
    tools = find_tools()
    if tools is None:
        sys.exit("bench/fpga.py: there are no tools: run  make fpga")
    network = random_network(width=WIDTH)
    result: dict[str, Any] = {"boards": {}}
    if arguments.json and arguments.json.is_file():  # what does not run keeps its figures
        result = json.loads(arguments.json.read_text())
    result |= {
        "network": "random weights, width 8, depth 6",
        "image_width": network.width,
        "tools": tools.versions(),
        "commit": commit(),
        "assumed_clock_mhz": ASSUMED_CLOCK_MHZ,
    }
    jobs = {board: partial(synthesised, tools, network, board, family) for board, family in BOARDS.items()}
    jobs |= {"ecp5_layer": partial(routed, tools, network), "layer_without_dsp": partial(without_dsp, tools, network)}
    wanted = [ONLY[arguments.only]] if arguments.only else [*BOARDS, "ecp5_layer"]
    with ThreadPoolExecutor(2) as pool:  # two tools at a time
        for name, made in zip(wanted, pool.map(lambda name: jobs[name](), wanted), strict=True):
            (result["boards"] if name in BOARDS else result)[name] = made
            print(name, made)  # noqa: T201
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    budget = json.loads((module_folder() / "budget.json").read_text())
    for board, row in result["boards"].items():
        within(type(plan_for(network, board).cost)(**row["measured"]), budget[board], board)
    if "ecp5_layer" in result and result["ecp5_layer"]["clock_mhz"] < budget["ecp5_layer"]["clock_mhz"]:
        sys.exit(f"the ECP5 layer routes at {result['ecp5_layer']['clock_mhz']:.1f} MHz, less than its budget")


if __name__ == "__main__":
    try:
        main()
    except EdgereconError as error:
        sys.exit(f"bench/fpga.py: {error}")

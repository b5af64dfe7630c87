"""What a build for an FPGA takes and gives: as values, as a table, and as the README of its folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from edgerecon.core import __version__
from edgerecon.fpga.budget import ASSUMED_CLOCK_MHZ, Plan, interval_of, residual_depth
from edgerecon.fpga.integer_ir import CELL, IntegerNetwork
from edgerecon.hardware.device import DeviceProfile

SIZES = ((256, 256), (512, 512), (768, 1024), (1080, 1920))
UNVERIFIED = (
    "that Vitis HLS accepts the C++, and the resources and the clock that it reaches",
    "the highest clock of an AMD part: no open tool knows it, hence cycles × an assumed clock",
    "power",
    "a run on a board",
)


@dataclass(frozen=True)
class Checked:
    """Golden vectors and the bytes that differ from them. cpp: None: there was no compiler."""

    vectors: int
    onnxruntime: int
    cpp: int | None


@dataclass(frozen=True)
class Facts:
    """The report. values: plain ones, see ``report``."""

    values: dict[str, Any]

    def text(self) -> str:
        """As JSON."""
        return json.dumps(self.values, indent=2) + "\n"

    @property
    def summary(self) -> str:
        """One line."""
        v = self.values
        clock = f"cycles × assumed {v['assumed_clock_mhz']:g} MHz"
        speed = next(row for row in v["frames"] if row["shape"] == [512, 512])
        dsp = v["resources"]["dsp"]
        share = f" of {dsp['available']}" if dsp["available"] else ""
        return (
            f"{v['cycles_per_pixel']:g} cycles a pixel with {dsp['used']} DSPs{share}: 512×512 at "
            f"{speed['frames_per_second']:.0f} frames/s ({clock})"
        )


def report(network: IntegerNetwork, plan: Plan, device: DeviceProfile, checked: Checked) -> Facts:
    """All that is known of a build, ready for JSON."""
    part = asdict(device.fpga) if device.fpga else {}
    cost = asdict(plan.cost)
    return Facts(
        {
            "made_by": "edgerecon build",
            "version": __version__,
            "model": network.name,
            "model_sha256": network.model_sha256,
            "device": device.name,
            "title": device.title,
            "part": part.get("part"),
            "assumed_clock_mhz": ASSUMED_CLOCK_MHZ,
            "width": network.width,
            "macs_per_pixel": network.macs_per_pixel,
            "cycles_per_pixel": plan.cycles_per_pixel,
            "macs_per_cycle": plan.macs_per_cycle,
            "packed": plan.packed,
            "distributed": plan.distributed,
            "first_output_rows": first_output_rows(network),
            "residual_cells": residual_depth(network),
            "layers": _layers(network, plan),
            "resources": {key: {"used": value, "available": part.get(key)} for key, value in cost.items()},
            "frames": _frames(network, plan),
            "checked": asdict(checked),
            "unverified": list(UNVERIFIED),
        }
    )


def _layers(network: IntegerNetwork, plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "layer": number,
            "name": layer.name,
            "inputs": layer.inputs,
            "outputs": layer.outputs,
            "dilation": layer.dilation,
            "in_step": fold.in_step,
            "out_step": fold.out_step,
            "macs_per_cycle": 9 * fold.in_step * fold.out_step,
            "cycles_per_cell": plan.interval if plan.distributed else interval_of(layer, fold),
        }
        for number, (layer, fold) in enumerate(zip(network.layers, plan.folds, strict=True), 1)
    ]


def _frames(network: IntegerNetwork, plan: Plan) -> list[dict[str, Any]]:
    """What the frame sizes that the build is wide enough for cost."""
    return [
        {
            "shape": list(shape),
            "cycles": plan.frame_cycles(*shape),
            "cpp_cycles": cpp_cycles(network, plan, *shape),
            "frames_per_second": plan.frames_per_second(*shape),
            "milliseconds": plan.frame_cycles(*shape) / ASSUMED_CLOCK_MHZ / 1e3,
            "first_output_cycles": plan.first_output_cycles(shape[1]),
        }
        for shape in SIZES
        if shape[1] <= network.width
    ]


def cpp_cycles(network: IntegerNetwork, plan: Plan, height: int, width: int) -> int:
    """Between two frames of the C++, each of whose stages ends one frame before it begins the next."""
    columns, rows = -(-width // CELL), -(-height // CELL)
    stages = [
        interval_of(layer, fold) * (rows * columns + layer.dilation * (columns + 1))
        for layer, fold in zip(network.layers, plan.folds, strict=True)
    ]
    return max(CELL * CELL * rows * columns, *stages)


def first_output_rows(network: IntegerNetwork) -> float:
    """Rows of the frame that have come in, for each layer, when the first pixel leaves."""
    return (CELL + CELL * sum(layer.dilation for layer in network.layers)) / len(network.layers)


def markdown(facts: Facts) -> str:
    """Resources, speed and folding as tables."""
    v = facts.values
    names = {"dsp": "DSP", "bram36": "block RAM, 36 kbit", "lut": "look-up tables", "ff": "flip-flops"}
    used = "\n".join(
        f"| {names[key]} | {row['used']:,} | {'' if row['available'] is None else format(row['available'], ',')} |"
        for key, row in v["resources"].items()
    )
    speed = "\n".join(
        f"| {row['shape'][0]}×{row['shape'][1]} | {row['cycles']:,} | {row['milliseconds']:.2f} | "
        f"{row['frames_per_second']:.0f} | {row['first_output_cycles']:,} | {row['cpp_cycles']:,} |"
        for row in v["frames"]
    )
    layers = "\n".join(
        f"| {row['layer']} | {row['inputs']} → {row['outputs']} | {row['dilation']} | {row['in_step']} × "
        f"{row['out_step']} | {row['macs_per_cycle']} | {row['cycles_per_cell']} |"
        for row in v["layers"]
    )
    return _MARKDOWN.format(
        **v,
        used=used,
        speed=speed,
        folding=layers,
        summary=facts.summary,
        part_text=f" ({v['part']})" if v["part"] else "",
        sharing=_sharing(v),
    )


def _sharing(values: dict[str, Any]) -> str:
    if values["distributed"]:
        return ", without DSPs; the C++ multiplies all the same, so synthesise the SystemVerilog"
    return ", two products a DSP" if values["packed"] else ""


def readme(facts: Facts) -> str:
    """What is in the folder, and how to go on."""
    v = facts.values
    checked = v["checked"]
    cpp = "not compiled here, there is no g++" if checked["cpp"] is None else f"{checked['cpp']} bytes differ"
    vitis = _VITIS if v["part"] else "There is no `hls_config.cfg`: Vitis HLS does not know this part.\n"
    return _README.format(
        **v,
        summary=facts.summary,
        cpp=cpp,
        vectors=checked["vectors"],
        vitis=vitis,
        onnxruntime=checked["onnxruntime"],
        unknown="\n".join(f"- {what}" for what in v["unverified"]),
    )


_MARKDOWN = """# {model} on {title}{part_text}

{summary}. {macs_per_pixel:g} multiply-accumulates a pixel, {macs_per_cycle} a cycle{sharing}.

| resource | used | available |
|---|---|---|
{used}

DSPs are exact; the rest is estimated, fitted to what Yosys makes of the SystemVerilog.

| frame | cycles | ms | frames/s | cycles to the first pixel out | cycles of the C++ |
|---|---|---|---|---|---|
{speed}

Milliseconds are cycles at an assumed clock of {assumed_clock_mhz:g} MHz. Frames follow each other without a pause;
the C++ ends a frame in each stage before the next one begins. Frames are up to {width} pixels wide, of any height.

| layer | channels | dilation | folded to inputs × outputs | multiplications a cycle | cycles a cell |
|---|---|---|---|---|---|
{folding}

A cell is 2×2 pixels. The first pixel leaves {first_output_rows:.1f} rows a layer after the first one came. The frame's
own way to the last layer holds {residual_cells} cells.
"""

_VITIS = """
    cd hls && v++ -c --mode hls --config hls_config.cfg --work_dir build
"""

_README = """# {model} for {title}

{summary}.

| | |
|---|---|
| `hls/` | C++ for Vitis HLS: the top function is `compact_top`, AXI4-Stream in and out, a pixel a beat |
| `rtl/` | the same as SystemVerilog: the top module is `compact_stream` |
| `vectors/` | frames and what must come of them, PGM: {vectors} pairs named in `list.txt` |
| `network.json` | the network in integers, from which all of this was made |
| `report.md`, `report.json` | resources, cycles and folding |

Try the C++ with any compiler, and then synthesise it:

    g++ -std=c++17 -O2 -Wno-unknown-pragmas hls/*.cpp -o testbench && ./testbench vectors
{vitis}
A pixel g stands for g / 256; the file's own quantiser is `clip(round(256·x), 0, 255)` of a grey level x in [0, 1].

Checked against the integer reference when this was written, all bytes of all vectors: ONNX Runtime: {onnxruntime} bytes
differ; C++: {cpp}. The SystemVerilog is checked by `make fpga` in edgerecon's repository. All of them agree by vectors,
not by construction. Not verified:

{unknown}

For research and engineering. Not a medical device; not for clinical use.
"""

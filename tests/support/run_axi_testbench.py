"""Compiles the stream of a folder for cocotb and runs axi_testbench in it, with the interpreter that has cocotb."""

import sys
from pathlib import Path

from cocotb_tools.runner import get_runner

folder = Path(sys.argv[1])
runner = get_runner("verilator")
runner.build(
    sources=sorted(folder.glob("*.sv")),
    hdl_toplevel="compact_stream",
    build_dir=folder / "cocotb",
    always=True,
    build_args=[
        "-Wno-fatal",
        "-Wno-WIDTHEXPAND",
        "-Wno-WIDTHTRUNC",
        "-Wno-PINCONNECTEMPTY",
        "-j",
        "2",
        "-O3",
        "-CFLAGS",
        "-O1",
    ],
)
results = runner.test(
    test_module="axi_testbench",
    hdl_toplevel="compact_stream",
    build_dir=folder / "cocotb",
    test_dir=folder,
)
failed = [line for line in Path(results).read_text().splitlines() if "<failure" in line or "<error" in line]
sys.exit(f"error: {failed[0]}" if failed else 0)

"""AXI4-Stream as cocotb sees it: an independent driver beside the C++ one."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from bench.fpga_tools import Tools
from edgerecon.fpga import integer_reference
from edgerecon.fpga.budget import Fold, plan_of
from edgerecon.fpga.rtl import write_rtl
from tests.support.random_stream import random_network

SUPPORT = Path(__file__).parents[1] / "support"


def test_cocotb_drives_both_handshakes_and_finds_no_fault(tools: Tools, tmp_path: Path) -> None:
    network = random_network(hidden=2, dilations=(1, 3, 2), width=64)
    write_rtl(network, plan_of(network, (Fold(4, 2), Fold(2, 1), Fold(2, 2)), packed=True), tmp_path)
    frames = np.random.default_rng(1).integers(0, 256, (4, 13, 18), np.uint8)
    (tmp_path / "frames.bin").write_bytes(frames.tobytes())
    (tmp_path / "expected.bin").write_bytes(np.stack([integer_reference.run(network, f) for f in frames]).tobytes())
    variables = {
        "STREAM_FRAMES": str(tmp_path),
        "STREAM_HEIGHT": "13",
        "STREAM_WIDTH": "18",
        "PYTHONPATH": str(SUPPORT),
    }
    python = str(tools.root / "bin" / "python")
    said = tools.run([python, str(SUPPORT / "run_axi_testbench.py"), str(tmp_path)], tmp_path, variables)
    assert re.search(r"TESTS=4 PASS=4 FAIL=0", said)

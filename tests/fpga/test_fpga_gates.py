"""What Yosys makes of the sources, simulated: the gates give the reference's bytes, in the cycles of the sources."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.fpga_tools import Tools, build_gate_simulator
from edgerecon.fpga.budget import Fold, plan_of
from edgerecon.fpga.rtl import write_rtl
from tests.support.random_stream import random_network
from tests.support.simulate_stream import assert_equal, random_frames, simulate


def test_the_gates_equal_the_reference(tools: Tools, tmp_path: Path) -> None:
    network = random_network(hidden=1, dilations=(1, 2), width=24)
    plan = plan_of(network, (Fold(1, 1), Fold(1, 2)), packed=True)
    write_rtl(network, plan, tmp_path)
    program = build_gate_simulator(tools, tmp_path)
    frames = random_frames(6, 9, 12)
    for stalls, gap in (((0, 0), 0), ((30, 40), 0), ((0, 0), 500)):
        assert_equal(simulate(network, program, frames, stalls, gap), frames)
    assert np.diff(simulate(network, program, frames)["ends"])[0] == plan.frame_cycles(9, 12)

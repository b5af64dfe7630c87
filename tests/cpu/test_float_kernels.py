"""The float32 kernels of every instruction set against plain NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerecon.core.errors import EngineError, ModelError
from edgerecon.cpu.layers import Layer
from edgerecon.cpu.library import Library
from tests.cpu import networks
from tests.cpu.reference import run_floats


def run(library: Library, layers: list[Layer], frame: np.ndarray, threads: int = 1, isa: str = "") -> np.ndarray:
    out = np.full(frame.shape, np.nan, np.float32)
    library.open(layers).bind(*frame.shape, threads, isa).run(frame, out)
    return out


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / max(1.0, np.abs(expected).max()))


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    block=st.integers(1, 3),
    layers=st.lists(st.tuples(st.integers(1, 33), st.integers(1, 7)), min_size=1, max_size=5),
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
)
def test_chains_of_any_width_and_dilation(
    library: Library, seed: int, block: int, layers: list[tuple[int, int]], rows: int, columns: int
) -> None:
    rng = np.random.default_rng(seed)
    network = networks.chain(rng, [width for width, _ in layers[1:]], [d for _, d in layers], block)
    frame = rng.random((block * rows, block * columns), dtype=np.float32)
    expected = run_floats(network, frame)
    for isa in library.instruction_sets():
        assert relative(run(library, network, frame, 1, isa), expected) < 1e-5


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    width=st.integers(1, 18),
    dilation=st.integers(1, 3),
    rows=st.integers(1, 25),
    columns=st.integers(1, 25),
    residual=st.booleans(),
)
def test_two_scales_with_strides_and_skips(
    library: Library, seed: int, width: int, dilation: int, rows: int, columns: int, residual: bool
) -> None:
    rng = np.random.default_rng(seed)
    network = networks.two_scale(rng, width, dilation, residual)
    frame = rng.random((4 * rows, 4 * columns), dtype=np.float32)
    expected = run_floats(network, frame)
    for isa in library.instruction_sets():
        assert relative(run(library, network, frame, 2, isa), expected) < 1e-5


@pytest.mark.parametrize("rows", [1, 23, 48, 97, 201])
def test_the_bytes_do_not_depend_on_threads(library: Library, rows: int, rng: np.random.Generator) -> None:
    frame = rng.random((4 * rows, 72), dtype=np.float32)
    for network in (networks.chain(rng, [16, 16, 16], [1, 3, 2, 1], 2), networks.two_scale(rng, 16, 2)):
        for isa in library.instruction_sets():
            one = run(library, network, frame, 1, isa)
            assert all(np.array_equal(run(library, network, frame, threads, isa), one) for threads in (2, 3, 7))


def test_a_runner_leaves_nothing_behind(library: Library, rng: np.random.Generator) -> None:
    network = library.open(networks.two_scale(rng, 12, 2))
    frames = [rng.random((68, 52), dtype=np.float32) for _ in range(3)]
    alone = []
    for frame in frames:
        alone.append(np.empty_like(frame))
        network.bind(68, 52, 2).run(frame, alone[-1])
    runner, out = network.bind(68, 52, 2), np.empty_like(frames[0])
    for frame, expected in [*zip(frames, alone, strict=True)] * 5:
        runner.run(frame, out)
        assert np.array_equal(out, expected)


def test_pixels_that_are_no_numbers_are_clipped(library: Library, rng: np.random.Generator) -> None:
    network = networks.chain(rng, [16, 8], [1, 2, 1], 2)
    frame = rng.random((20, 30), dtype=np.float32)
    frame.flat[:6] = [np.nan, np.inf, -np.inf, -0.5, 7.0, -0.0]
    for isa in library.instruction_sets():
        assert relative(run(library, network, frame, 1, isa), run_floats(network, frame)) < 1e-5


def test_what_cannot_run_is_refused_in_one_line(library: Library, rng: np.random.Generator) -> None:
    network = library.open(networks.chain(rng, [16], [1, 1], 2))
    with pytest.raises(EngineError, match=r"cannot run 3×4 frames: the frame is not a multiple of the block"):
        network.bind(3, 4, 1)
    with pytest.raises(EngineError, match="this processor does not have sse9"):
        network.bind(4, 4, 1, "sse9")
    layers = networks.chain(rng, [16], [1, 1], 2)
    with pytest.raises(ModelError, match=r"layer 1 \(conv 2\) does not fit what it reads"):
        library.open([layers[0], networks.convolution(rng, 1, 2, 5, 16, padding=1), *layers[2:]])
    with pytest.raises(ModelError, match="does not write the frame"):
        library.open(layers[:-1])
    runner = network.bind(4, 4, 1)
    with pytest.raises(EngineError, match="bound to float32 frames of 4×4"):
        runner.run(np.zeros((4, 6), np.float32), np.zeros((4, 6), np.float32))

"""Frames of bytes, fused into the first and the last layer, against the float32 way, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerecon.core.errors import EngineError, ModelError
from edgerecon.core.frame import GreyLevels, to_uint8, to_unit
from edgerecon.cpu.layers import PIXEL_LEVELS, Layer
from edgerecon.cpu.library import Library
from tests.cpu import networks
from tests.cpu.test_float_kernels import run


def by_floats(
    library: Library, layers: list[Layer], seen: GreyLevels, margin: int, strength: float, isa: str
) -> GreyLevels:
    """What the model's picture is when a frame goes through float32: padded, run, clipped, blended, rounded."""
    (height, width), block = seen.shape, layers[0].kernel
    sides = [(margin, margin + -(side + 2 * margin) % block) for side in seen.shape]
    unit = to_unit(seen)
    made = np.clip(run(library, layers, np.pad(unit, sides, mode="edge"), 1, isa), 0, 1)
    made = made[margin : margin + height, margin : margin + width]
    share = np.float32(strength)
    return to_uint8(np.ascontiguousarray(made * share + unit * (np.float32(1) - share)))


def apart(rng: np.random.Generator, shape: tuple[int, int], more: int) -> GreyLevels:
    """Random bytes whose rows lie further apart than they are long."""
    return rng.integers(0, 256, (shape[0], shape[1] + more), np.uint8)[:, : shape[1]]


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    integers=st.booleans(),
    block=st.integers(1, 3),
    rows=st.integers(1, 60),
    columns=st.integers(1, 40),
    margin=st.integers(0, 4),
    strength=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    masked=st.booleans(),
    more=st.integers(0, 3),
    threads=st.integers(1, 3),
)
def test_bytes_are_what_floats_give_rounded(
    library: Library,
    seed: int,
    integers: bool,
    block: int,
    rows: int,
    columns: int,
    margin: int,
    strength: float,
    masked: bool,
    more: int,
    threads: int,
) -> None:
    rng = np.random.default_rng(seed)
    make = networks.integer_chain if integers else networks.chain
    layers = make(rng, [6], [1, 2], block)
    seen, frame = apart(rng, (rows, columns), more), apart(rng, (rows, columns), more)
    tissue = apart(rng, (rows, columns), more) // 128 if masked else None
    bound = [side + 2 * margin + -(side + 2 * margin) % block for side in seen.shape]
    found = []
    for isa in library.instruction_sets():
        expected = by_floats(library, layers, seen, margin, strength, isa)
        expected = expected if tissue is None else np.where(tissue, expected, frame)
        out = apart(rng, (rows, columns), more)
        runner = library.open(layers).bind(*bound, threads, isa)
        runner.run_bytes(seen, out, frame=frame, tissue=tissue, strength=strength, margin=margin)
        assert np.array_equal(out, expected)
        found.append(out)
    assert not integers or all(np.array_equal(found[0], one) for one in found)


def test_every_byte_is_one_level_of_the_integers() -> None:
    levels = np.arange(256, dtype=np.uint8)[None]
    unit = to_unit(levels)
    assert np.array_equal(unit, levels.astype(np.float32) * np.float32(1 / 255))
    assert np.array_equal((unit * np.float32(PIXEL_LEVELS) + np.float32(0.5)).astype(int), levels)
    assert np.array_equal(to_uint8(unit), levels)


def test_no_strength_is_the_input_bit_for_bit(library: Library, rng: np.random.Generator) -> None:
    seen = rng.integers(0, 256, (33, 41), np.uint8)
    out = np.empty_like(seen)
    library.open(networks.chain(rng, [4], [1, 1], 1)).bind(33, 41, 1).run_bytes(seen, out, strength=0)
    assert np.array_equal(out, seen)


def test_what_cannot_run_is_said(library: Library, rng: np.random.Generator) -> None:
    layers = networks.chain(rng, [], [1], 2)
    runner, seen = library.open(layers).bind(8, 8, 1), np.zeros((8, 8), np.uint8)
    with pytest.raises(EngineError, match="writes bytes to memory that it does not read"):
        runner.run_bytes(seen, seen)
    with pytest.raises(EngineError, match="bytes of one shape, whose rows are contiguous"):
        runner.run_bytes(seen, np.zeros((8, 16), np.uint8)[:, ::2])
    with pytest.raises(EngineError, match="larger than what was bound"):
        runner.run_bytes(seen, seen.copy(), margin=1)


@pytest.mark.parametrize("part", ["weights", "bias"])
def test_weights_have_to_be_numbers(library: Library, rng: np.random.Generator, part: str) -> None:
    layers = networks.chain(rng, [4], [1, 1], 2)
    getattr(layers[2], part).flat[-1] = np.nan
    with pytest.raises(ModelError, match=r"layer 2 \(conv 3\) has weights that are NaN or infinite"):
        library.open(layers)


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_seams_between_bands_do_not_show(library: Library, rng: np.random.Generator, threads: int) -> None:
    layers = networks.two_scale(rng, 5, 2)
    frame = rng.random((404, 24), dtype=np.float32)
    assert np.array_equal(run(library, layers, frame, threads), run(library, layers, frame, 1))

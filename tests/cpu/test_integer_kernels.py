"""The int16 kernels of every instruction set against NumPy, bit for bit, and the proof that they cannot overflow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgerecon.core.errors import ModelError
from edgerecon.cpu.layers import Integers, Layer
from edgerecon.cpu.library import Library
from edgerecon.cpu.quantise import quantise
from tests.cpu import networks
from tests.cpu.reference import run_integers
from tests.cpu.test_float_kernels import run


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    block=st.integers(1, 3),
    layers=st.lists(st.tuples(st.integers(1, 33), st.integers(1, 7)), min_size=1, max_size=5),
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    threads=st.integers(1, 3),
    ceilings=st.lists(st.sampled_from([481, 2047, 4000]), min_size=1, max_size=3),
)
def test_chains_bit_for_bit(
    library: Library,
    seed: int,
    block: int,
    layers: list[tuple[int, int]],
    rows: int,
    columns: int,
    threads: int,
    ceilings: list[int],
) -> None:
    rng = np.random.default_rng(seed)
    widths, dilations = [width for width, _ in layers[1:]], [dilation for _, dilation in layers]
    network = networks.integer_chain(rng, widths, dilations, block, weight=12, ceilings=ceilings)
    frame = (rng.random((block * rows, block * columns)) * 1.4 - 0.2).astype(np.float32)
    frame.flat[0], frame.flat[-1] = np.nan, np.inf
    expected = run_integers(network, frame)
    for isa in library.instruction_sets():
        assert np.array_equal(run(library, network, frame, threads, isa), expected)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    width=st.integers(1, 18),
    dilation=st.integers(1, 3),
    rows=st.integers(1, 20),
    columns=st.integers(1, 20),
    threads=st.integers(1, 3),
)
@example(seed=106335, width=15, dilation=1, rows=1, columns=4, threads=1)  # a channel that holds next to nothing
def test_two_scales_bit_for_bit(
    library: Library, seed: int, width: int, dilation: int, rows: int, columns: int, threads: int
) -> None:
    rng = np.random.default_rng(seed)
    frame = rng.random((4 * rows, 4 * columns), dtype=np.float32)
    network = quantise(networks.two_scale(rng, width, dilation), [frame])
    frame.flat[:2] = [np.nan, 7]
    expected = run_integers(network, frame)
    for isa in library.instruction_sets():
        assert np.array_equal(run(library, network, frame, threads, isa), expected)


def test_a_map_below_zero_runs(library: Library, rng: np.random.Generator) -> None:
    layers = networks.two_scale(rng, 2, 1)
    up = layers[4]
    layers[4] = replace(up, weights=-np.abs(up.weights), bias=-np.ones_like(up.bias), added=0)
    frame = rng.random((8, 8), dtype=np.float32)
    made = quantise(layers, [frame])
    form = made[4].integers
    assert form and form.floor < 0 and form.ceiling == 1
    assert np.array_equal(run(library, made, frame), run_integers(made, frame))


def test_what_is_added_belongs_to_the_proof(library: Library, rng: np.random.Generator) -> None:
    layers = quantise(networks.two_scale(rng, 4, 1), [rng.random((16, 16), dtype=np.float32)])
    form = layers[3].integers
    assert form
    layers[3] = replace(layers[3], integers=replace(form, gain=np.full(8, 2**24, np.int32)))
    with pytest.raises(ModelError, match=r"layer 3 \(conv 4\) fails the range proof: .* and what is added can exceed"):
        library.open(layers)
    layers[3] = replace(layers[3], integers=replace(form, gain=np.empty(0, np.int32)))
    with pytest.raises(ModelError, match=r"layer 3 \(conv 4\) has no integer form of its sum"):
        library.open(layers)


def edge(library: Library, rng: np.random.Generator, **changes: object) -> tuple[list[Layer], int]:
    """A network of one integer layer, some of whose facts are changed."""
    layers = networks.integer_chain(rng, [], [1], 2, weight=3)
    form = layers[1].integers
    assert form
    return [layers[0], replace(layers[1], integers=replace(form, **changes)), layers[-1]], 1  # type: ignore[arg-type]


def test_weights_at_the_edge_of_the_proof_are_exact(library: Library, rng: np.random.Generator) -> None:
    weights = np.zeros((4, 4, 3, 3), np.int16)
    weights[:, :3] = 668  # 49 · 668 = 32 732; 576 · 255 · 668 · 27 would not fit 32 bits
    weights[:, 1:3] = 0
    layers, _ = edge(library, rng, weights=weights, offset=np.zeros(4, np.int32))
    frame = rng.choice(np.array([0, 1], np.float32), (24, 24))
    for isa in library.instruction_sets():
        assert np.array_equal(run(library, layers, frame, 1, isa), run_integers(layers, frame))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"weights": np.full((4, 4, 3, 3), 669, np.int16)}, "a transformed weight of output 0 exceeds 16 bits"),
        ({"weights": np.full((4, 4, 3, 3), 650, np.int16)}, "the sum of output 0 can exceed 32 bits"),
        ({"offset": np.array([0, 0, 2**27, 0], np.int32)}, "the sum of output 2 can exceed 32 bits"),
        ({"ceiling": 2**15, "step": np.empty(0, np.float32)}, "its outputs have too many levels"),
        ({"floor": -(2**15), "step": np.empty(0, np.float32)}, "its outputs have too many levels"),
        ({"floor": 1, "ceiling": 9, "step": np.empty(0, np.float32)}, "its outputs have too many levels"),
        (
            {"shift": np.array([1, 2, 31, 4], np.int32), "step": np.empty(0, np.float32)},
            "a shift is not one of 0 to 30",
        ),
    ],
)
def test_a_failed_proof_names_the_layer(
    library: Library, changes: dict[str, object], reason: str, rng: np.random.Generator
) -> None:
    layers, _ = edge(library, rng, **changes)
    with pytest.raises(ModelError, match=rf"layer 1 \(conv 2\) fails the range proof: {reason}"):
        library.open(layers)


@pytest.mark.parametrize(
    "levels", [(0, 481), (0, 482), (-327, 327), (-328, 327), (0, 2047), (0, 2048), (-1638, 1638), (-1639, 1638)]
)
def test_any_levels_are_exact(library: Library, levels: tuple[int, int], rng: np.random.Generator) -> None:
    """On either side of what F(4×4) and F(2×4) take, of inputs that alternate between the extremes."""
    layers = networks.integer_chain(rng, [8], [1, 1], 1, weight=9)
    form = layers[1].integers
    assert form
    wild = replace(form, weights=np.zeros_like(form.weights), offset=np.zeros(8, np.int32), shift=np.zeros(8, np.int32))
    wild.weights[:4, 0, 1, 1], wild.weights[4:, 0, 1, 1] = 1, -1  # of a pixel's 255 levels, times 576: both extremes
    wild = replace(wild, floor=levels[0], ceiling=levels[1])
    layers[1] = replace(layers[1], integers=wild, relu=False)
    frame = rng.choice(np.array([0, 1], np.float32), (20, 22))
    for isa in library.instruction_sets():
        assert np.array_equal(run(library, layers, frame, 1, isa), run_integers(layers, frame))


def test_integers_have_to_end_before_the_frame(library: Library, rng: np.random.Generator) -> None:
    layers, _ = edge(library, rng, step=np.empty(0, np.float32))
    with pytest.raises(ModelError, match="reads numbers of another kind"):
        library.open(layers)
    assert isinstance(layers[1].integers, Integers)

"""The int16 form keeps the picture, passes the range proof, and is refused where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgerecon.core.errors import ModelError
from edgerecon.core.shipped import resource_dir
from edgerecon.cpu.graph_layers import read_layers
from edgerecon.cpu.layers import Kind, Layer
from edgerecon.cpu.library import Library
from edgerecon.cpu.quantise import TWO_ROWS, dearest_maps, levels_of, quantise, quantise_ranges
from edgerecon.cpu.ranges import map_ranges
from edgerecon.modelfile.catalogue import find_file
from tests.cpu import networks
from tests.cpu.reference import map_of, run_integers
from tests.cpu.test_float_kernels import run

MODELS = {
    "compact-despeckle": "pw31",
    "compact-despeckle-small": "pw31",
    "compact-despeckle-w8d4": "pw31",
    "compact-compound": "pw1",
}


def psnr(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((np.clip(found, 0, 1) - wanted) ** 2)))


@pytest.mark.parametrize("name", MODELS)
def test_shipped_models_lose_at_most_a_fiftieth_of_a_decibel(library: Library, name: str) -> None:
    with np.load(resource_dir("export") / "heldout.npz") as scenes:
        frames = scenes[MODELS[name]][::2].astype(np.float32) / 255
        wanted = (scenes["clean"] if MODELS[name] == "pw31" else scenes["pw31"])[::2].astype(np.float32) / 255
    layers = read_layers(find_file(name))
    held = map_ranges(layers, list(frames))
    fine = dearest_maps(layers, held, frames[:1, :96, :96])[:3] if name == "compact-despeckle" else []
    integers = quantise_ranges(layers, held, fine)
    kept, lost = (
        np.mean([psnr(run(library, form, x), y) for x, y in zip(frames, wanted, strict=True)])
        for form in (layers, integers)
    )
    assert lost > kept - 0.02
    signs = [layer.integers.floor < 0 for layer in integers[1:-2] if layer.integers]
    assert any(signs) == (name == "compact-despeckle")  # what its transposed layer adds to has no ReLU
    x = np.ascontiguousarray(frames[0][:64, :64])
    assert np.array_equal(run(library, integers, x), run_integers(integers, x))


@pytest.mark.parametrize(
    ("low", "high"), [((0.0, 0.0), (3.0, 0.1)), ((-1.0, -0.5), (2.0, 0.0)), ((-5.0, 0.0), (0.5, 0.0)), ((0, 0), (0, 0))]
)
def test_levels_span_every_channel_in_16_bits(low: tuple[float, ...], high: tuple[float, ...]) -> None:
    levels = levels_of(np.array(low, float), np.array(high, float))
    ends = sorted((-levels.floor, levels.ceiling))
    assert 68 * ends[1] + 32 * ends[0] < 2**15 and (levels.value > 0).all()
    assert (levels.floor * levels.value <= np.array(low) + 1e-9).all()
    assert (levels.ceiling * levels.value >= np.array(high) - 1e-9).all()
    assert min(low) < 0 or (levels.floor, levels.ceiling) == (0, 480)


def test_fine_maps_have_more_levels_and_round_less(library: Library, rng: np.random.Generator) -> None:
    layers = networks.two_scale(rng, 8, 1)
    frames = [(rng.integers(0, 256, (32, 32)) / 255).astype(np.float32) for _ in range(2)]
    held = map_ranges(layers, frames)
    order = dearest_maps(layers, held, frames)
    assert set(order) == {layer.source for layer in layers if layer.winograd} - {1}
    lost = []
    for fine in ([], order):
        made = quantise_ranges(layers, held, fine)
        for layer in made[1:-2]:
            form = layer.integers
            assert form
            less, more = sorted((-form.floor, form.ceiling))
            fits_four_rows = 68 * more + 32 * less < 2**15
            assert fits_four_rows == (layer.target in order and layer.target not in fine)
            assert 16 * more + 4 * less < 2**15
        lost.append(np.abs(run(library, made, frames[0]) - run(library, layers, frames[0])).mean())
    assert lost[1] < lost[0] / 2


def test_the_levels_of_a_form_fill_its_16_bits() -> None:
    for low, high in ((0.0, 1.0), (-1.0, 1.0), (-0.2, 1.0)):
        levels = levels_of(np.array([low]), np.array([high]), TWO_ROWS)
        less, more = sorted((-levels.floor, levels.ceiling))
        assert 0.9 * 2**15 < 16 * more + 4 * less < 2**15


def test_ranges_are_those_of_every_channel(rng: np.random.Generator) -> None:
    layers = networks.two_scale(rng, 5, 2)
    frames = [rng.random((16, 24), dtype=np.float32) for _ in range(2)]
    found = map_ranges(layers, frames)
    for layer in layers[1:-1]:
        ending = [*layers[: layer.target], Layer(Kind.SHUFFLE, "all", layer.target, 0, layer.outputs, 1, 1)]
        seen = np.stack([map_of(ending, frame) for frame in frames])
        low, high = np.minimum(seen.min((0, 2, 3)), 0), np.maximum(seen.max((0, 2, 3)), 0)
        held = found[layer.target]
        assert np.allclose((held.low, held.high, held.mean), (low, high, seen.mean((0, 2, 3))), atol=1e-5)


def test_weights_beyond_the_range_name_their_layer(rng: np.random.Generator) -> None:
    layers: list[Layer] = networks.chain(rng, [8], [1, 1], 2)
    layers[1] = replace(layers[1], bias=np.full(8, -1e30, np.float32))
    with pytest.raises(ModelError, match=r"layer 1 \(conv 2\) fits no shift in output 0"):
        quantise(layers, [np.zeros((4, 4), np.float32)])

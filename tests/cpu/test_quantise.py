"""The int16 form keeps the picture, passes the range proof, and is refused where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgerecon.core.errors import ModelError
from edgerecon.core.shipped import resource_dir
from edgerecon.cpu.layers import Layer, read_layers
from edgerecon.cpu.library import Library
from edgerecon.cpu.quantise import quantise
from edgerecon.modelfile.catalogue import find_file
from tests.cpu import networks
from tests.cpu.reference import run_integers
from tests.cpu.test_float_kernels import run

MODELS = {
    "compact-despeckle-small": "pw31",
    "compact-despeckle-w8d4": "pw31",
    "compact-compound": "pw1",
}


def psnr(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((np.clip(found, 0, 1) - wanted) ** 2)))


@pytest.mark.parametrize("name", MODELS)
def test_shipped_models_lose_at_most_a_fiftieth_of_a_decibel(library: Library, name: str) -> None:
    with np.load(resource_dir("export") / "heldout.npz") as scenes:
        frames = scenes[MODELS[name]].astype(np.float32) / 255
        wanted = (scenes["clean"] if MODELS[name] == "pw31" else scenes["pw31"]).astype(np.float32) / 255
    layers = read_layers(find_file(name))
    integers = quantise(layers, list(frames))
    kept, lost = (
        np.mean([psnr(run(library, form, x), y) for x, y in zip(frames, wanted, strict=True)])
        for form in (layers, integers)
    )
    assert lost > kept - 0.02
    x = frames[0]
    assert np.array_equal(run(library, integers, x), run_integers(integers, x))


def test_a_network_of_another_shape_is_refused(rng: np.random.Generator) -> None:
    frame = rng.random((8, 8), dtype=np.float32)
    with pytest.raises(ModelError, match=r"layer 2 \(conv 3\) has no integer form"):
        quantise(networks.two_scale(rng, 4, 1), [frame])


def test_weights_beyond_the_range_name_their_layer(rng: np.random.Generator) -> None:
    layers: list[Layer] = networks.chain(rng, [8], [1, 1], 2)
    layers[1] = replace(layers[1], bias=np.full(8, -1e30, np.float32))
    with pytest.raises(ModelError, match=r"layer 1 \(conv 2\) fits no shift in output 0"):
        quantise(layers, [np.zeros((4, 4), np.float32)])

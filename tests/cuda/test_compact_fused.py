"""The whole compact network, tile by tile on the CPU, against torch in float64 and NumPy in whole numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from edgerecon.core.errors import EngineError
from edgerecon.cuda.kernels.compact import Layer, buffer_sizes, choose_tiling, pack_network
from edgerecon.cuda.kernels.compile import source_folder
from edgerecon.engines import open_engine
from edgerecon.engines.cuda.compact_file import read_compact
from edgerecon.modelfile.catalogue import model_path
from edgerecon.modelfile.file import read_model

Array = NDArray[np.float32]
Run = Callable[..., Array]
DILATED, PLAIN = (1, 2, 3, 3, 2, 1), (1,) * 6


@pytest.fixture
def fused(on_host: Callable[..., Array]) -> Run:
    """(layers, frames, tile, warps) → frames, from the kernel's own source."""

    def run(layers: Sequence[Layer], frames: Array, tile: tuple[int, int], warps: int = 4) -> Array:
        net = pack_network(layers)
        sizes = buffer_sizes(net.form, net.width, net.dilations, *tile)
        arguments = [net.form, net.width, *frames.shape, *tile, *sizes, *net.dilations, repr(net.step), warps]
        return on_host("compact_fused", arguments, [frames, net.weights, net.scales]).reshape(frames.shape)

    return run


def reference(layers: Sequence[Layer], frames: Array) -> NDArray[np.float64]:
    """Layer by layer over whole images. Halves and bytes are rounded where the kernel rounds, sums are exact."""
    height, width = frames.shape[1:]
    x = F.pad(torch.from_numpy(frames)[:, None], (0, width % 2, 0, height % 2), mode="replicate")
    half = layers[1].weight.dtype == np.float16
    z = F.pixel_unshuffle(x, 2).double()
    if layers[0].before:
        z = _byte(F.pixel_unshuffle(x, 2) / np.float32(layers[0].before)).double()
    for index, layer in enumerate(layers):
        z = z.half().double() if half else z
        step = 1.0 if layer.step is None else torch.from_numpy(layer.step.astype(np.float64) * layer.before)
        scale = np.float32(1) * (step / (layer.after or 1.0))
        offset = torch.from_numpy((layer.bias.astype(np.float64) / (layer.after or 1.0)).astype(np.float32)).double()
        weight = torch.from_numpy(layer.weight.astype(np.float64))
        z = F.conv2d(z, weight, padding=layer.dilation, dilation=layer.dilation)
        scale = torch.as_tensor(scale).double().float().double().reshape(-1, 1, 1)
        z = z * scale + offset[:, None, None]
        if index < 5:
            z = F.relu(z)
        z = _byte(z.float()).double() if layer.after else z
    shown = x.double() + F.pixel_shuffle(z, 2) if not layers[-1].before else x + F.pixel_shuffle(z.float(), 2)
    return shown[:, 0, :height, :width].double().numpy()


def _byte(z: torch.Tensor) -> torch.Tensor:
    return torch.clamp(torch.round(z), -128, 127)


def made(form: str, width: int, dilations: Sequence[int], rng: np.random.Generator, exact: bool = False) -> list[Layer]:
    """A random network; with ``exact`` all of its sums are exact in float32, and many of them are ties."""
    layers = []
    for index, (before, after) in enumerate(zip((4, *[width] * 5), (*[width] * 5, 4), strict=True)):
        whole = form == "int8" or (form == "mixed" and 0 < index < 5)
        bias = (rng.integers(-64, 64, after) / 128).astype(np.float32)
        step, into = (2.0**-9, 2.0**-5) if exact else (0.0017, 0.031)
        rounded = form == "int8" and index < 5 or form == "mixed" and index < 4
        if whole:
            weight = rng.integers(-127, 128, (after, before, 3, 3)).astype(np.int8)
            steps = (step * rng.integers(1, 3, after) / np.sqrt(width)).astype(np.float32)
            steps = np.exp2(np.rint(np.log2(steps))).astype(np.float32) if exact else steps
            layers.append(Layer(weight, bias, dilations[index], steps, into, into if rounded else 0.0))
        else:
            weight = (rng.integers(-32, 32, (after, before, 3, 3)) / 256 / (width / 16)).astype(np.float32)
            weight = weight.astype(np.float16) if form == "fp16" else weight
            if not exact and form != "fp16":
                weight = weight + rng.normal(0, 0.01, weight.shape).astype(np.float32)
            layers.append(Layer(weight, bias, dilations[index], after=into if rounded else 0.0))
    return layers


SIZES = [  # images, height, width, tile: odd sizes, one pixel, one cell, tile edges ± 1
    (1, 1, 1, (4, 4)),
    (2, 2, 1, (4, 6)),
    (1, 15, 17, (8, 8)),
    (2, 16, 13, (8, 6)),
    (1, 18, 31, (8, 16)),
    (1, 3, 40, (4, 6)),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["compact-compound", "compact-despeckle-small"])
def test_float_of_real_weights(fused: Run, name: str, size: tuple, rng: np.random.Generator) -> None:
    layers = read_compact(read_model(model_path(name)))
    frames = rng.random(size[:3], dtype=np.float32)
    found, expected = fused(layers, frames, size[3]), reference(layers, frames)
    np.testing.assert_allclose(found, expected, atol=3e-6)
    assert np.linalg.norm(expected - frames) > 1e-3 * np.linalg.norm(frames)  # it does something


@pytest.mark.parametrize(
    ("form", "width"),
    [("fp32", 32), ("fp16", 16), ("fp16", 32), ("mixed", 16), ("mixed", 32), ("int8", 16), ("int8", 32)],
)
def test_every_form_and_width(fused: Run, form: str, width: int, rng: np.random.Generator) -> None:
    for exact, size, warps in ((True, (2, 13, 18, (4, 6)), -4), (False, (1, 17, 9, (8, 4)), 16)):
        layers = made(form, width, DILATED if width == 16 else PLAIN, rng, exact)
        frames = (rng.integers(0, 129, size[:3]) / 128).astype(np.float32)
        found, expected = fused(layers, frames, size[3], warps), reference(layers, frames)
        if form == "int8":
            np.testing.assert_array_equal(found, expected.astype(np.float32))
        elif form == "mixed" and exact:  # but for the last layer's sum; one level off would be 4e-3
            np.testing.assert_allclose(found, expected, atol=1e-6)
        elif form == "mixed":  # a value that lies between two levels may go either way
            assert np.linalg.norm(found - expected) <= 0.01 * np.linalg.norm(expected)
        else:
            tolerance = 2e-3 if form == "fp16" else 1e-5
            assert np.linalg.norm(found - expected) <= tolerance * np.linalg.norm(expected)


@pytest.mark.parametrize("name", ["compact-despeckle-small-fp16", "compact-compound-int8-trt"])
def test_files_mean_the_same_to_onnxruntime(fused: Run, name: str, rng: np.random.Generator) -> None:
    from contextlib import closing

    frame = np.cumsum(rng.normal(0, 0.05, (33, 26)), axis=1).astype(np.float32) % 1
    layers = read_compact(read_model(model_path(name)))
    with closing(open_engine(name, "onnxruntime", threads=1)) as engine:
        expected = engine.run(frame)
    error = np.abs(np.clip(fused(layers, frame[None], (16, 16))[0], 0, 1) - expected)
    assert error.max() <= 0.01 and error.mean() <= 2e-4


@pytest.mark.parametrize("form", ["fp16", "fp32", "mixed", "int8"])
def test_extreme_values(fused: Run, form: str, rng: np.random.Generator) -> None:
    layers = made(form, 16, PLAIN, rng, exact=True)
    for value in (0.0, 1.0, 50.0):
        frames = np.full((1, 9, 6), value, np.float32)
        found, expected = fused(layers, frames, (4, 4), warps=1), reference(layers, frames)
        np.testing.assert_allclose(found, expected, rtol=4e-3, atol=4e-3)


def test_a_not_a_number_stays_within_its_reach(fused: Run, rng: np.random.Generator) -> None:
    frames = rng.random((1, 40, 40), dtype=np.float32)
    frames[0, 0, 0] = np.nan
    found = fused(read_compact(read_model(model_path("compact-compound"))), frames, (8, 8))
    assert (
        np.isnan(found[0, :2, :2]).all() and not np.isnan(found[0, 14:]).any() and not np.isnan(found[0, :, 14:]).any()
    )


def test_the_border_shows_in_the_comparison(rng: np.random.Generator) -> None:
    """Padding the input once, instead of every layer, is far outside the tolerance: the tests above would see it."""
    layers = read_compact(read_model(model_path("compact-despeckle-small")))
    frames = rng.random((1, 20, 20), dtype=np.float32)
    once = reference(layers, np.pad(frames, ((0, 0), (24, 24), (24, 24))))[:, 24:-24, 24:-24]
    assert np.abs(once - reference(layers, frames)).max() > 1e-3


@pytest.mark.parametrize("form", ["fp16", "fp32", "mixed", "int8"])
def test_the_truth_of_the_benchmark_is_the_same(form: str, rng: np.random.Generator) -> None:
    from bench import network_truth

    layers, frames = made(form, 16, DILATED, rng), rng.random((2, 9, 12), dtype=np.float32)
    np.testing.assert_allclose(network_truth.compact(layers, frames), reference(layers, frames), atol=1e-6)


@pytest.mark.parametrize("dilations", [PLAIN, DILATED])
@pytest.mark.parametrize("form", ["fp16", "fp32", "mixed", "int8"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 512, 512), (8, 1081, 1919)])
def test_tiles(form: str, dilations: tuple[int, ...], shape: tuple[int, int, int]) -> None:
    for shared, width in ((227 << 10, 16), (227 << 10, 32), (99 << 10, 16)):
        try:
            tiling = choose_tiling(form, width, dilations, shape, 132, shared)
        except EngineError as error:
            assert (form, width, dilations) == ("fp32", 32, DILATED) and "shared memory" in str(error)
            continue
        assert tiling.shared <= shared and tiling.second % 16 == 0
        assert tiling.tiles == shape[0] * -(-shape[1] // (2 * tiling.rows)) * -(-shape[2] // (2 * tiling.cols))
        side = 2 * sum(dilations)
        assert (tiling.rows + side) ** 2 < 2**14 and (tiling.cols + side) * (tiling.rows + side) * (
            tiling.cols + side
        ) < 2**20


def test_the_readmes_tiles_are_those_chosen() -> None:
    text = (source_folder().parent / "README.md").read_text(encoding="utf-8")
    row = re.compile(r"\| ([\d ]*)\| (\w+) \| (\d+[^|]+) \| (\d+)×(\d+) \| (\d+) \| (\d+) KiB \| ([\d.]+) \|")
    found, dilations = row.findall(text), DILATED
    assert len(found) == 8
    for stated, form, limits, rows, cols, tiles, size, again in found:
        dilations = tuple(map(int, stated.split())) or dilations
        for limit in re.findall(r"\d+(?= or| KiB)", limits):
            tiling = choose_tiling(form, 16, dilations, (1, 512, 512), 132, int(limit) << 10)
            assert (tiling.rows, tiling.cols, tiling.tiles) == (int(rows), int(cols), int(tiles))
            assert abs(tiling.shared / 1024 - int(size)) <= 0.5
            assert recompute(dilations, tiling.rows, tiling.cols) == pytest.approx(float(again), abs=5e-3)


def recompute(dilations: Sequence[int], rows: int, cols: int, width: int = 16) -> float:
    """Multiply-accumulates of a tile, over those of its cells alone."""
    products = [4 * width, *[width * width] * 4, 4 * width]
    margins = [sum(dilations[index + 1 :]) for index in range(6)]
    made = sum(each * (rows + 2 * m) * (cols + 2 * m) for m, each in zip(margins, products, strict=True))
    return made / (rows * cols * sum(products))


def test_recompute_of_one_tile_is_counted() -> None:
    assert recompute(PLAIN, 10_000, 10_000) == pytest.approx(1, abs=2e-3)
    outer = 16 * 4 * (26 * 26) + 256 * (24**2 + 22**2 + 20**2 + 18**2) + 64 * 16**2
    assert recompute(PLAIN, 16, 16) == outer / (16 * 16 * (64 + 4 * 256 + 64))

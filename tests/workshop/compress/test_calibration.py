from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from onnxruntime.quantization import CalibrationDataReader
from onnxruntime.quantization.calibrate import HistogramCollector, MinMaxCalibrater, PercentileCalibrater

from edgerecon.core.errors import DataError, ModelError
from edgerecon.workshop.compress.calibration import (
    BINS,
    LEVELS,
    Statistics,
    calibrate,
    calibration_frames,
    entropy_threshold,
    percentile_threshold,
)
from edgerecon.workshop.compress.rounding import patches
from tests.support.compress_graphs import frames, tiny_model, tiny_recipe, write_pairs


class _Reader(CalibrationDataReader):
    def __init__(self) -> None:
        self.left = iter(frames())

    def get_next(self) -> dict[str, np.ndarray] | None:
        frame = next(self.left, None)
        return None if frame is None else {"frame": frame[None, None]}


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return tiny_model()


@pytest.mark.parametrize("kind", ["minmax", "percentile"])
def test_ranges_against_onnxruntime(kind: str, model: onnx.ModelProto, tmp_path: Path) -> None:
    onnx.save(model, tmp_path / "m.onnx")
    places = (str(tmp_path / "m.onnx"), None, str(tmp_path / "augmented.onnx"))
    theirs = (
        MinMaxCalibrater(*places)
        if kind == "minmax"
        else PercentileCalibrater(*places, symmetric=True, num_bins=BINS, percentile=99.5)
    )
    theirs.augment_graph()
    theirs.create_inference_session()
    theirs.collect_data(_Reader())
    expected = theirs.compute_data()
    ours = calibrate(model, frames()).ranges(kind, 99.5)  # type: ignore[arg-type]
    compared = [name for name in expected.keys() if name in ours and name not in ("frame", "pixel_unshuffle")]
    assert len(compared) >= 7
    for name in compared:
        low, high = (float(np.ravel(bound)[0]) for bound in expected[name].range_value)
        if kind == "minmax":
            assert ours[name] == pytest.approx((low, high), rel=1e-5, abs=1e-7)
        else:  # a bin apart, theirs or ours
            assert max(-ours[name][0], ours[name][1]) == pytest.approx(max(-low, high), rel=0.01)


def test_the_input_keeps_its_contract(model: onnx.ModelProto) -> None:
    dark = [frame * np.float32(0.1) for frame in frames()]
    for method in ("minmax", "percentile", "entropy"):
        found = calibrate(model, dark).ranges(method)  # type: ignore[arg-type]
        assert found["frame"] == found["pixel_unshuffle"] == (0.0, 1.0)
        assert found["relu"][0] == 0 < found["relu"][1]


@given(
    st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20), min_size=1, max_size=6), st.randoms()
)
@settings(max_examples=60, deadline=None)
def test_the_order_of_frames_does_not_matter(chunks: list[list[float]], random: object) -> None:
    shuffled = list(chunks)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = Statistics(), Statistics()
    for found, parts in ((one, chunks), (other, shuffled)):
        for part in parts:
            found.add(np.array(part, np.float32))
    values = np.concatenate([np.array(part, np.float32) for part in chunks])
    assert (one.low, one.high, one.limit) == (other.low, other.high, other.limit)
    np.testing.assert_array_equal(one.counts, other.counts)
    assert one.counts.sum() == values.size
    expected = np.bincount((np.abs(values.astype(np.float64)) / one.limit * BINS).astype(int), minlength=BINS)
    assert np.abs(np.cumsum(one.counts) - np.cumsum(expected)).max() <= 1  # a value on an edge, in float32


@given(st.floats(50.5, 100), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_percentiles_against_numpy(percentile: float, seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal(5000).astype(np.float32)
    seen = Statistics()
    seen.add(values)
    # Where the percentile falls between two values to the last bit, either of them is right.
    ends = (max(percentile - 1e-6, 0), min(percentile + 1e-6, 100))
    low, high = (np.percentile(np.abs(values), end, method="inverted_cdf") for end in ends)
    assert low <= percentile_threshold(seen, percentile) <= high + seen.limit / BINS + 1e-6


def _by_the_book(counts: list[float], used: int) -> int:
    """Number of bins to keep: Migacz's slides, loop by loop."""
    best, least = 0, np.inf
    for bins in range(LEVELS, used + 1):
        p = counts[:bins]
        p[-1] += sum(counts[bins:])
        groups: list[list[int]] = [[] for _ in range(LEVELS)]
        for index in range(bins):
            groups[index * LEVELS // bins].append(index)
        q = [0.0] * bins
        for group in groups:
            filled = [index for index in group if counts[index] > 0]
            for index in filled:
                q[index] = sum(counts[i] for i in group) / len(filled)
        total_p, total_q = sum(p), sum(q)
        divergence = sum(
            a / total_p * np.log(a / total_p / max(b / total_q, 1e-8)) for a, b in zip(p, q, strict=True) if a > 0
        )
        if divergence < least:
            best, least = bins, divergence
    return best


def test_entropy_by_the_book_and_against_onnxruntime() -> None:
    rng = np.random.default_rng(4)
    values = np.concatenate([rng.standard_normal(200_000), [7.9, -7.5]]).astype(np.float32)
    seen = Statistics()
    seen.add(values)
    coarse = seen.counts.reshape(256, -1).sum(axis=1)  # a small histogram: the loops are slow
    small = Statistics(seen.low, seen.high, seen.limit, np.concatenate([coarse, np.zeros(BINS - 256, np.int64)]))
    small.limit = seen.limit * BINS / 256
    counts = small.counts.astype(float).tolist()
    counts[0] = counts[1]
    used = int(np.flatnonzero(coarse)[-1]) + 1
    assert entropy_threshold(small) == pytest.approx(_by_the_book(counts, used) * seen.limit / 256)

    both_sides = np.concatenate([seen.counts[::-1], seen.counts])[::1].reshape(-1, 2).sum(axis=1)
    edges = np.linspace(-seen.limit, seen.limit, both_sides.size + 1).astype(np.float32)
    theirs = HistogramCollector("entropy", True, 128, 128, 99.99, "same").get_entropy_threshold(
        (both_sides, edges, np.float32(seen.low), np.float32(seen.high)), 128
    )
    ours = entropy_threshold(seen)
    assert 3 < ours < 7.5  # outliers are cut, the body of the distribution is not
    assert float(theirs[1]) == pytest.approx(ours, rel=0.3)


def test_entropy_of_little_or_nothing() -> None:
    nothing, few = Statistics(), Statistics()
    nothing.add(np.zeros(10, np.float32))
    few.add(np.array([0.0, 1e-3], np.float32))
    assert entropy_threshold(nothing) == np.inf
    assert entropy_threshold(few) >= 1e-3
    ordinary = Statistics()
    ordinary.add(np.maximum(np.random.default_rng(0).standard_normal(10_000), 0).astype(np.float32))
    assert 2 < entropy_threshold(ordinary) < 5  # half of them are zeros, which count for nothing


@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 3), st.integers(1, 2))
@settings(max_examples=25, deadline=None)
def test_patches_against_torch(kernel: int, dilation: int, pad: int, stride: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((3, 12, 11)).astype(np.float32)
    unfolded = F.unfold(torch.from_numpy(values)[None], kernel, dilation, pad, stride)[0].T.numpy()
    height, width = ((n + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1 for n in values.shape[1:])
    places = np.stack(np.meshgrid(range(height), range(width), indexing="ij"), -1).reshape(-1, 2) * stride
    found = patches(values, (kernel,) * 2, (dilation,) * 2, (pad,) * 4, places)
    np.testing.assert_array_equal(found[:, :-1], unfolded)
    assert (found[:, -1] == 1).all()


def test_moments_know_the_mean_output(model: onnx.ModelProto) -> None:
    """Weights times the mean of what a convolution saw is the mean of what it gave."""
    calibration = calibrate(model, frames(40))
    nodes = {node.name: node for node in model.graph.node if node.op_type == "Conv"}
    assert set(calibration.moments) == set(nodes) and len(nodes) == 4
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    for name, moments in calibration.moments.items():
        weight, bias = (constants[key] for key in nodes[name].input[1:])
        mean_input = moments[-1] / moments[-1, -1]
        mean = np.concatenate([weight.reshape(len(weight), -1), bias[:, None]], 1) @ mean_input
        seen = calibration.statistics[nodes[name].output[0]]
        assert (seen.low < mean).all() and (mean < seen.high).all()
        np.testing.assert_allclose(moments, moments.T)


def test_frames_of_the_recipe(tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "pairs.h5")
    recipe = tiny_recipe(
        calibration={"file": data, "frames": 21}, augment={"gain": (0.2, 1.0), "zoom": (1.2, 2.0), "flip_axial": True}
    )
    found = list(calibration_frames(recipe))
    assert len(found) == 21 and {frame.shape for frame in found} == {(48, 48)}
    assert np.ptp([frame.mean() for frame in found]) > 0.1  # gain varies
    np.testing.assert_array_equal(found, list(calibration_frames(recipe)))
    with pytest.raises(DataError, match=r"absent\.h5 does not exist"):
        list(calibration_frames(tiny_recipe()))


def test_bad_input(model: onnx.ModelProto) -> None:
    good = frames(1)[0]
    with pytest.raises(DataError, match="no frame"):
        calibrate(model, [])
    for bad in (good + 1, good - 1, good.astype(np.float64), good[None], good[:0], good * np.nan):
        with pytest.raises(DataError, match="calibration frame must"):
            calibrate(model, [bad])
    broken = onnx.ModelProto.FromString(model.SerializeToString())
    weight = broken.graph.initializer[0]
    weight.CopyFrom(onnx.numpy_helper.from_array(np.full(list(weight.dims), 3e38, np.float32), weight.name))
    with pytest.raises(DataError, match="overflow"):
        calibrate(broken, [good])
    for content in (b"", b"no model", model.SerializeToString()[:-100]):
        with pytest.raises(ModelError):
            calibrate(content, [good])

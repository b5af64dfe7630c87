"""Calibration: run the fp32 file over frames once, and take the range of every tensor from what was seen.

onnxruntime.quantization has calibrators of the same three kinds. They are not used because each is a run of its own,
keeps every activation of every frame in memory until the end (some 7 MB a frame for compact at 256×256), and prints;
the tests compare the ranges with theirs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import DataError, ModelError
from edgerecon.core.frame import Image
from edgerecon.workshop.compress.graph import ModelProto, NodeProto, attribute, load, metadata, of_input, onnx
from edgerecon.workshop.compress.rounding import patches
from edgerecon.workshop.data.augment import Augment
from edgerecon.workshop.data.datasets import CropSampler, load_pairs
from edgerecon.workshop.recipe import Recipe

Method = Literal["minmax", "entropy", "percentile"]
Range = tuple[float, float]
Ranges = dict[str, Range]
"""Tensor name → least and greatest value to represent."""

BINS = 2048
LEVELS = 128
SAMPLES = 512
"""Places of each frame whose surroundings count in the moments."""
_FIRST_LIMIT = 2.0**-10


@dataclass
class Statistics:
    """What one tensor held.

    Attributes:
        low, high: extremes. counts: (BINS,) histogram of magnitudes over [0, limit).
        limit: a power of two; it doubles, and neighbouring bins merge, when a greater magnitude comes. So the
            histogram is the same in whatever order the frames come.
    """

    low: float = math.inf
    high: float = -math.inf
    limit: float = _FIRST_LIMIT
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def add(self, values: NDArray[np.float32]) -> None:
        """Take in values of any shape.

        Raises:
            DataError: NaN or infinity among them.
        """
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        if not math.isfinite(self.high - self.low):
            raise DataError("a calibration frame makes the network overflow: check the frames and the training")
        while max(-self.low, self.high) >= self.limit:
            self.counts = np.concatenate([self.counts.reshape(-1, 2).sum(axis=1), np.zeros(BINS // 2, np.int64)])
            self.limit *= 2
        magnitudes = np.abs(values).reshape(1, -1)
        found = cv2.calcHist([magnitudes], [0], None, [BINS], [0.0, self.limit])  # exact up to 2²⁴ values
        self.counts += found.ravel().astype(np.int64)


@dataclass(frozen=True)
class Calibration:
    """What one run over the frames tells of a model.

    Attributes:
        statistics: of every activation, by name. inputs: those that hold the network's input, moved at most.
        moments: name of a Conv (without groups) → Σ x xᵀ of what it saw, as ``rounding.round_weights`` takes it.
    """

    statistics: dict[str, Statistics]
    inputs: frozenset[str]
    moments: dict[str, NDArray[np.float64]]

    def ranges(self, method: Method, percentile: float = 99.99) -> Ranges:
        """Range of every activation.

        A method gives a threshold T on magnitudes; the range is what was seen, cut to [−T, T]. Of the network's input
        the range is [0, 1] whatever was seen, since that is its contract and an 8-bit frame then loses nothing.

        Args:
            method: "minmax": T is the greatest magnitude. "percentile": that of the magnitudes, zeros included.
                "entropy": see ``entropy_threshold``. percentile: in (50, 100], for that method.
        """
        found: Ranges = {}
        for name, seen in self.statistics.items():
            threshold = math.inf
            if method == "entropy":
                threshold = entropy_threshold(seen)
            elif method == "percentile":
                threshold = percentile_threshold(seen, percentile)
            cut = (max(seen.low, -threshold), min(seen.high, threshold))
            found[name] = (0.0, 1.0) if name in self.inputs else cut
        return found


def calibrate(model: bytes | ModelProto, frames: Iterable[Image]) -> Calibration:
    """Run the fp32 file and gather what quantisation needs.

    Args:
        frames: float32 (H, W) in [0, 1] of any sizes; at least 500 make the rare values count.

    Raises:
        DataError: no frame, an unusable one, or one that makes the network overflow. ModelError: no fp32 ONNX file.
    """
    loaded = load(model)
    convolutions = [node for node in loaded.graph.node if node.op_type == "Conv" and attribute(node, "group", 1) == 1]
    inputs = frozenset(of_input(loaded.graph))
    multiple = int(metadata(loaded).get("size_multiple", 1))
    session, names = _observed(loaded)
    statistics = {name: Statistics() for name in names}
    moments: dict[str, NDArray[np.float64]] = {}
    rng = np.random.default_rng(0)
    for frame in frames:
        given = padded(frame, multiple)
        try:
            values = dict(zip(names, (given, *session.run(names[1:], {names[0]: given})), strict=True))
        except Exception as error:  # noqa: BLE001 - the runtime's exceptions share no base
            raise DataError(f"the network fails on a calibration frame: {str(error).splitlines()[0]}") from None
        for name, value in values.items():
            statistics[name].add(value)
        for node in convolutions:
            seen = _sample(node, values, rng).astype(np.float64)
            moments[node.name] = moments.get(node.name, 0.0) + seen.T @ seen
    if not statistics[names[0]].counts.any():
        raise DataError("there is no frame to calibrate on: simulate training data, or name another calibration.file")
    return Calibration(statistics, inputs, moments)


def _observed(model: ModelProto) -> tuple[Any, list[str]]:
    """A session that gives every activation, and their names, the input first."""
    import onnxruntime as ort

    typed = onnx.shape_inference.infer_shapes(model)
    floats = {
        v.name
        for v in (*typed.graph.value_info, *typed.graph.output)
        if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
    names = [name for node in model.graph.node for name in node.output if name in floats]
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - the runtime's exceptions share no base
        raise ModelError(f"ONNX Runtime refuses the model to calibrate: {str(error).splitlines()[0]}") from None
    return session, [session.get_inputs()[0].name, *names]


def _sample(node: NodeProto, values: dict[str, NDArray[np.float32]], rng: np.random.Generator) -> NDArray[np.float32]:
    """What a convolution sees at random places of one frame."""
    height, width = values[node.output[0]].shape[2:]
    places = rng.integers((height, width), size=(SAMPLES, 2)) * attribute(node, "strides", [1, 1])
    kernel = attribute(node, "kernel_shape", [1, 1])
    pads = attribute(node, "pads", [0, 0, 0, 0])
    return patches(values[node.input[0]][0], kernel, attribute(node, "dilations", [1, 1]), pads, places)


def percentile_threshold(seen: Statistics, percentile: float) -> float:
    """Upper edge of the bin that holds a percentile of the magnitudes."""
    reached = np.cumsum(seen.counts) >= seen.counts.sum() * percentile / 100
    return float((np.argmax(reached) + 1) * seen.limit / BINS)


def entropy_threshold(seen: Statistics) -> float:
    """Threshold whose 128 levels keep most information (Migacz, "8-bit inference with TensorRT", GTC 2017).

    For each number of bins i from 128 on: P is the histogram of the magnitudes below i, with everything beyond counted
    in its last bin, and Q the same histogram merged into 128 levels and spread again over the bins that hold anything.
    The i of the least Kullback–Leibler divergence of Q from P wins. Exact zeros, which a ReLU makes by the million
    and every grid represents, weigh no more than the bin beside them.
    """
    counts = seen.counts.astype(np.float64)
    counts[0] = counts[1]
    used = int(np.flatnonzero(counts)[-1]) + 1 if counts.any() else 0
    if used <= LEVELS:
        return math.inf
    divergences = [_divergence(counts, bins) for bins in range(LEVELS, used + 1)]
    return float((LEVELS + int(np.argmin(divergences))) * seen.limit / BINS)


def _divergence(counts: NDArray[np.float64], bins: int) -> float:
    """KL(P ‖ Q) in nats; the zeros of Q, which P's outliers alone can meet, count as one in a hundred million."""
    inside = counts[:bins]
    p = inside.copy()
    p[-1] += counts[bins:].sum()
    level = np.arange(bins) * LEVELS // bins
    occupied = inside > 0
    mass = np.bincount(level, inside, LEVELS)
    spread = np.bincount(level, occupied, LEVELS)
    q = np.where(occupied, (mass / np.maximum(spread, 1))[level], 0.0)
    p, q = p / p.sum(), np.maximum(q / max(q.sum(), 1e-300), 1e-8)
    at = p > 0
    return float(np.sum(p[at] * np.log(p[at] / q[at])))


def calibration_frames(recipe: Recipe) -> Iterator[Image]:
    """The frames that [calibration] asks for: training scenes under the recipe's changes of gain and grain.

    Yields:
        float32 (side, side) in [0, 1], the side being that of the scenes.

    Raises:
        DataError: see ``load_pairs``; the file is absent.
    """
    fields = tuple(dict.fromkeys((*recipe.data.inputs, recipe.data.target)))
    pairs = load_pairs(recipe.calibration.file or recipe.data.file, fields)
    side = min(pairs.fields[recipe.data.target].shape[1:])
    batch = recipe.train.batch
    sampler = CropSampler(
        pairs,
        recipe.data.inputs,
        recipe.data.target,
        Augment(recipe.augment, side),
        batch,
        np.random.default_rng(recipe.train.seed),
    )
    return islice(_one_by_one(sampler), recipe.calibration.frames)


def _one_by_one(sampler: CropSampler) -> Iterator[Image]:
    while True:
        yield from sampler.draw()[0][:, 0]


def padded(frame: Image, multiple: int) -> NDArray[np.float32]:
    """1×1×H×W with sides in multiples of a number, the edge repeated.

    Raises:
        DataError: no float32 frame in [0, 1].
    """
    if not isinstance(frame, np.ndarray) or frame.dtype != np.float32 or frame.ndim != 2 or frame.size == 0:
        raise DataError("a calibration frame must be a non-empty float32 H×W array")
    if not (0 <= frame.min() and frame.max() <= 1):
        raise DataError("a calibration frame must hold grey levels in [0, 1]")
    height, width = frame.shape
    return np.pad(frame, ((0, -height % multiple), (0, -width % multiple)), mode="edge")[None, None]

"""Which pixels of a frame decide what a model shows there: saliency, integrated gradients, occlusion, attention gates.

Every map answers the same question about one region of the reconstruction (of a classifier's output: about one class).
Its score is f = the mean of the output over the region: in [0, 1] for occlusion, which sees what the engines show, and
before that clipping for the gradients, which it would stop. A map shows what the network reacts to; it does not say
that the reaction is right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgerecon.core.errors import UsageError, needed
from edgerecon.core.frame import Image
from edgerecon.engines import open_engine
from edgerecon.modelfile.catalogue import model_path
from edgerecon.modelfile.file import read_model
from edgerecon.modelfile.spec import LABELS
from edgerecon.quality.regions import Box
from edgerecon.workshop.explain.occlusion import occlusion

__all__ = ["Explanation", "brightest", "explain", "explain_frame"]

_SHARE = 8
"""The default region's side is the shorter side of the reconstruction over this."""


@dataclass(frozen=True)
class Explanation:
    """What was found.

    Attributes:
        frame: H×W. reconstruction: (H·scale)×(W·scale). region: of the reconstruction, (y0, x0, y1, x1).
        score: f of the frame; score_of_black: f of a black frame; both before clipping.
        maps: name → float32 H×W. "saliency" is |∂f/∂x|; "integrated gradients" and "occlusion" are signed and in units
            of f: positive where the frame raises it; "attention …" are gates in [0, 1], one map a gate.
    """

    frame: Image
    reconstruction: Image
    region: Box
    score: float
    score_of_black: float
    maps: dict[str, Image]

    def to_json(self) -> dict[str, Any]:
        """Figures of each map, and how far the integrated gradients are from adding up to the score."""
        added = float(self.maps["integrated gradients"].sum(dtype=np.float64))
        return {
            "region": list(self.region),
            "score": self.score,
            "score_of_black": self.score_of_black,
            "completeness_error": added - (self.score - self.score_of_black),
            "maps": {name: _figures(values) for name, values in self.maps.items()},
        }


def explain(
    model: str | Path,
    frame: Image,
    region: Box | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Image]:
    """The maps of ``explain_frame`` alone."""
    return explain_frame(model, frame, region, on_progress).maps


def explain_frame(
    model: str | Path,
    frame: Image,
    region: Box | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Explanation:
    """Explain one region of a model's reconstruction of a frame.

    An int8 file is explained as it is: gradients pass straight through its roundings.

    Args:
        model: a shipped name or an ONNX file of ours. frame: float32 H×W in [0, 1].
        region: of the reconstruction, (y0, x0, y1, x1); default: its brightest square (see ``brightest``).
        on_progress: called with (what, done, total).

    Raises:
        UsageError: no such model, one of a map of classes, or a region outside the reconstruction. ModelError: see
        ``read_model``; or the file holds operators that the reference lacks. EngineError: the frame is unusable.
        DependencyError: no torch or onnx.
    """
    progress = on_progress or (lambda what, done, total: None)
    file = read_model(model_path(model))
    if file.spec.overlay == LABELS:
        raise UsageError(f"{file.spec.name} gives a map of classes, which has no gradient: adopt its probabilities")
    engine = open_engine(file)

    def run(image: Image) -> Image:
        engine.reset()  # a temporal model sees every image as the first of its sequence
        return engine.run(image)

    try:
        reconstruction = run(frame)
        region = region or brightest(reconstruction)
        _check_inside(region, reconstruction.shape)
        gradients, attention = _gradients_and_attention()
        network = gradients.Differentiable(file)
        maps = {
            "saliency": gradients.saliency(network, frame, region),
            "integrated gradients": gradients.integrated(
                network, frame, region, lambda done, total: progress("integrated gradients", done, total)
            ),
            "occlusion": occlusion(
                run,
                frame,
                region,
                scale=file.spec.scale,
                sees=0 if file.spec.fixed_output else file.spec.receptive_field,
                on_patch=lambda done, total: progress("occlusion", done, total),
            ),
            **attention.gates(network, frame),
        }
        score, black = (gradients.score(network, image, region) for image in (frame, np.zeros_like(frame)))
    finally:
        engine.close()
    return Explanation(frame, reconstruction, region, score, black, maps)


def brightest(image: Image) -> Box:
    """The brightest square of an image, by its mean; its side is an eighth of the image's shorter one."""
    import cv2

    side = max(1, min(image.shape) // _SHARE)
    sums = cv2.integral(image, sdepth=cv2.CV_64F)
    means = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    row, column = (int(place) for place in np.unravel_index(int(means.argmax()), means.shape))
    return row, column, row + side, column + side


def _check_inside(region: Box, shape: tuple[int, ...]) -> None:
    y0, x0, y1, x1 = region
    if not (0 <= y0 < y1 <= shape[0] and 0 <= x0 < x1 <= shape[1]):
        raise UsageError(f"region {y0},{x0},{y1},{x1} leaves the {shape[0]}×{shape[1]} reconstruction")


def _gradients_and_attention() -> tuple[Any, Any]:
    with needed("train"):
        from edgerecon.workshop.explain import attention, gradients
    return gradients, attention


def _figures(values: Image) -> dict[str, Any]:
    peak = np.unravel_index(int(np.abs(values).argmax()), values.shape)
    return {
        "min": float(values.min()),
        "max": float(values.max()),
        "sum": float(values.sum(dtype=np.float64)),
        "peak": [int(place) for place in peak],
    }

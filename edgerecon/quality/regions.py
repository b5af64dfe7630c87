"""Where to measure: homogeneous patches, contrast pairs and wires, from a JSON file or found on the input image."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import cv2
import numpy as np

from edgerecon.core.config import read_json
from edgerecon.core.errors import DataError
from edgerecon.core.frame import Image

Box = tuple[int, int, int, int]
"""Rows y0 to y1 (exclusive) and columns x0 to x1 (exclusive), in pixels: (y0, x0, y1, x1)."""


@dataclass(frozen=True)
class Regions:
    """Boxes of one image.

    Attributes:
        homogeneous: tissue without structure, for speckle SNR.
        pairs: (background, target) boxes for CNR and gCNR.
        wires: boxes around one bright point each, for FWHM.
        how: "file" or "automatic".
    """

    homogeneous: tuple[Box, ...]
    pairs: tuple[tuple[Box, Box], ...]
    wires: tuple[Box, ...] = ()
    how: str = "automatic"

    def check_inside(self, shape: tuple[int, ...]) -> None:
        """Raises DataError when a box is empty or leaves an image of this (H, W)."""
        for y0, x0, y1, x1 in (*self.homogeneous, *(box for pair in self.pairs for box in pair), *self.wires):
            if not (0 <= y0 < y1 <= shape[0] and 0 <= x0 < x1 <= shape[1]):
                raise DataError(
                    f"region [{y0}, {x0}, {y1}, {x1}] leaves the {shape[0]}×{shape[1]} image: "
                    "give boxes as [y0, x0, y1, x1] in pixels"
                )


def crop(image: Image, box: Box) -> Image:
    """View of one box of an image (H, W)."""
    return image[box[0] : box[2], box[1] : box[3]]


def read_regions(path: Path) -> Regions:
    """Read ``{"background": [[y0, x0, y1, x1], ...], "target": [...], "wire": [...]}``; every key is optional.

    Background boxes serve as homogeneous regions; each target is paired with the background nearest in depth.

    Raises:
        DataError: the file is missing, no JSON, or of another layout.
    """
    content = read_json(path, DataError, f"the regions in {path}")
    if not isinstance(content, dict) or not content or set(content) - {"background", "target", "wire"}:
        raise DataError(f'{path} must hold {{"background": [[y0, x0, y1, x1], ...], "target": [...]}}')
    boxes = {
        key: tuple(_box(item, path) for item in _list(content.get(key, []), path))
        for key in ("background", "target", "wire")
    }
    background = boxes["background"]
    if boxes["target"] and not background:
        raise DataError(f"{path} has targets but no background to compare them with: add a background box")
    pairs = tuple((min(background, key=lambda b: abs(_depth(b) - _depth(t))), t) for t in boxes["target"])
    return Regions(background, pairs, boxes["wire"], "file")


def _list(value: object, path: Path) -> list[object]:
    if not isinstance(value, list):
        raise DataError(f"{path}: each key must hold a list of boxes [y0, x0, y1, x1]")
    return value


def _box(item: object, path: Path) -> Box:
    if not isinstance(item, list) or len(item) != 4 or not all(type(v) is int for v in item):
        raise DataError(f"{path}: {item!r} is no box; write four whole numbers [y0, x0, y1, x1]")
    return item[0], item[1], item[2], item[3]


def _depth(box: Box) -> float:
    return (box[0] + box[2]) / 2


def find_regions(image: Image, window: int = 32, count: int = 8) -> Regions:
    """Find homogeneous patches and contrast pairs on the input image; deterministic.

    A patch is a window×window square whose mean lies in [0.08, 0.85], with under 5 % black and under 1 % saturated
    pixels, and with speckle in it (a flat overlay is none). The ``count`` patches with the smallest standard deviation
    of a strongly smoothed image (Gaussian, σ = window/6) relative to their mean are taken, without overlap and half a
    window away from the borders. Images smaller than three windows use a smaller window.

    Contrast pairs (up to 3) are a brighter (background) and a darker (target) homogeneous patch within two windows of
    the same depth whose CNR lies in [0.5, 2], those nearest to 1 first: gCNR is near 0.5 there and can rise as well as
    fall.

    Args:
        image: float32 (H, W) in [0, 1].

    Returns:
        Possibly empty regions: an image may hold no homogeneous tissue.
    """
    window = max(8, min(window, min(image.shape) // 3))
    candidates = _candidates(image, window)
    homogeneous = _without_overlap(candidates, count)
    # Contrast needs darker and brighter patches, which a short list of the very flattest may lack.
    pool = _without_overlap(candidates[: max(count, len(candidates) // 3)], 6 * count)
    return Regions(tuple(homogeneous), tuple(_pairs(image, pool, window)))


def _candidates(image: Image, window: int) -> list[Box]:
    """All acceptable patches on a half-window grid, most homogeneous first."""
    smooth = np.asarray(cv2.GaussianBlur(image, (0, 0), window / 6), np.float32)
    step = window // 2
    found: list[tuple[float, Box]] = []
    for y in range(step, image.shape[0] - window - step + 1, step):
        for x in range(step, image.shape[1] - window - step + 1, step):
            box = (y, x, y + window, x + window)
            patch = crop(image, box)
            mean = float(patch.mean())
            if not 0.08 <= mean <= 0.85 or patch.std() < 0.01:
                continue
            if (patch <= 0.004).mean() > 0.05 or (patch >= 0.99).mean() > 0.01:
                continue
            found.append((float(crop(smooth, box).std()) / mean, box))
    return [box for _, box in sorted(found)]


def _without_overlap(boxes: list[Box], count: int) -> list[Box]:
    kept: list[Box] = []
    for box in boxes:
        if len(kept) == count:
            break
        if all(box[0] >= k[2] or box[2] <= k[0] or box[1] >= k[3] or box[3] <= k[1] for k in kept):
            kept.append(box)
    return kept


def _pairs(image: Image, boxes: list[Box], window: int, count: int = 3) -> list[tuple[Box, Box]]:
    """(background, target) pairs, disjoint; the darker patch is the target, as in a cyst phantom."""
    found = []
    for bright, dark in product(boxes, boxes):
        a, b = crop(image, bright), crop(image, dark)
        contrast = (a.mean() - b.mean()) / np.sqrt(a.var() + b.var())
        if 0.5 <= contrast <= 2 and abs(bright[0] - dark[0]) <= 2 * window:
            found.append((abs(float(contrast) - 1), bright, dark))
    pairs: list[tuple[Box, Box]] = []
    for _, bright, dark in sorted(found):
        if len(pairs) < count and all(bright not in pair and dark not in pair for pair in pairs):
            pairs.append((bright, dark))
    return pairs


def image_area(image: Image) -> np.ndarray:
    """Where the image shows tissue: the local mean (Gaussian, σ = 8 px) exceeds 0.02; bool (H, W).

    A local mean, so that black speckle minima inside tissue count and a sector's black surroundings do not.
    """
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 8.0) > 0.02)

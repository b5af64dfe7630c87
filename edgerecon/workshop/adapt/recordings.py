"""The recordings of a scanner: some frames of each, and the patches of tissue in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import DataError, SourceError
from edgerecon.core.frame import Image, RawImage, to_uint8, to_unit
from edgerecon.stream.picture.colour import find_colour
from edgerecon.stream.picture.tissue import find_tissue
from edgerecon.stream.sources import open_source
from edgerecon.workshop.adapt.statistics import PATCH, describe, is_speckled

FRAMES_EACH, LOOKED_AT = 8, 200
"""Frames that are taken of a recording, evenly over the first ones that are looked at."""
LEAST_FRAMES = 4
"""Frames that differ, over all recordings: half of them are learned from, half judge."""
_PATCHES_EACH, _TISSUE, _COLOURED = 6, 0.9, 0.5
"""Patches of a frame; the share of one that is tissue; the share of a frame that is colour, so that nothing is left."""


@dataclass(frozen=True)
class Material:
    """What recordings give.

    Attributes:
        frames: float32 (H, W) in [0, 1], to judge by. patches: float32 (PATCH, PATCH), to learn the looks of; of other
            frames.
    """

    frames: tuple[Image, ...]
    patches: tuple[Image, ...]

    @property
    def looks(self) -> NDArray[np.float64]:
        """One row of ``describe`` a patch."""
        return np.stack([describe(patch) for patch in self.patches])


def read_recordings(paths: Sequence[str]) -> Material:
    """Read recordings of one scanner: files, or folders of them.

    Raises:
        DataError: too few frames that differ, hardly any tissue, colour all over, or no speckle.
        SourceError: one cannot be read.
    """
    files = [file for path in paths for file in _files(path)]
    judging, learning = list[Image](), list[Image]()
    found, coloured = 0, 0
    for file in files:
        raws = _some_frames(file)
        coloured += sum(map(_is_coloured, raws))
        frames = [to_unit(raw) for raw in raws]
        found += len(frames)
        if not frames:
            continue
        mask = find_tissue([to_uint8(frame) for frame in frames])
        for index, frame in enumerate(frames):
            if (found + index) % 2:
                judging.append(frame)
            else:
                learning += _patches(frame, mask)
    if found < LEAST_FRAMES:
        raise DataError(f"{found} frames that differ are too few to adapt to: give {LEAST_FRAMES} at least")
    if coloured > found / 2:
        raise DataError("the recordings are in colour all over: record the grey picture, without flow or tint")
    if not learning:
        raise DataError(f"the recordings show no {PATCH}×{PATCH} pixels of tissue: record at a larger size")
    if not is_speckled(learning):
        raise DataError("the recordings do not look like ultrasound: there is no speckle in them")
    return Material(tuple(judging), tuple(learning))


def _files(path: str) -> list[str]:
    place = Path(path)
    if not place.is_dir():
        return [path]
    inside = sorted(str(file) for file in place.iterdir() if file.is_file() and not file.name.startswith("."))
    if not inside:
        raise SourceError(f"{path} holds no recordings")
    return inside


def _some_frames(path: str) -> list[RawImage]:
    """Frames of one recording that differ, and are of one size."""
    source = open_source(path)
    try:
        images = [capture.image for capture in islice(source.frames(), LOOKED_AT) if capture.image is not None]
    finally:
        source.close()
    distinct = [image for image, before in zip(images, [None, *images], strict=False) if _is_news(image, before)]
    chosen = np.linspace(0, len(distinct) - 1, min(FRAMES_EACH, len(distinct))).round().astype(int)
    return [distinct[index] for index in chosen if distinct[index].shape == distinct[0].shape]


def _is_news(image: RawImage, before: RawImage | None) -> bool:
    return before is None or not np.array_equal(image, before)


def _is_coloured(raw: RawImage) -> bool:
    if raw.ndim != 3 or raw.shape[2] < 3:
        return False
    colour = find_colour(raw)
    tinted = colour is None and float(np.ptp(raw[..., :3].astype(np.float32), axis=2).mean()) > 16
    return tinted or (colour is not None and (colour.where > 0).mean() > _COLOURED)


def _patches(frame: Image, mask: NDArray[np.uint8]) -> list[Image]:
    """Windows of tissue, side by side, the ones with most tissue first."""
    height, width = frame.shape
    places = [
        (float((mask[y : y + PATCH, x : x + PATCH] > 0).mean()), y, x)
        for y in range(0, height - PATCH + 1, PATCH // 2)
        for x in range(0, width - PATCH + 1, PATCH // 2)
    ]
    best = sorted((place for place in places if place[0] >= _TISSUE), reverse=True)[:: max(1, len(places) // 24)]
    return [frame[y : y + PATCH, x : x + PATCH] for _, y, x in best[:_PATCHES_EACH]]

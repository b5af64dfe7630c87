"""The recordings of a scanner: some frames of each, and the patches of tissue in them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice, product
from pathlib import Path
from typing import TypeVar

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
RECORDINGS = 32
"""Of more, so many are taken, evenly spread: some hundred frames say what a scanner's pictures look like, and fit the
memory."""
LEAST_FRAMES = 4
"""Frames that differ, over all recordings: half of them are learned from, half judge."""
_PATCHES_EACH, _TISSUE, _COLOURED = 6, 0.9, 0.5
"""Patches of a frame; the share of one that is tissue; the share of a frame that is colour, so that nothing is left."""


_log = logging.getLogger(__name__)
_Item = TypeVar("_Item")


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
    if len(files) > RECORDINGS:
        _log.info("%d of the %d recordings are taken, evenly spread", RECORDINGS, len(files))
    judging, learning, seen = list[Image](), list[Image](), set[bytes]()
    found, coloured = 0, 0
    for file in evenly(files, RECORDINGS):
        raws = _some_frames(file, seen)
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
        raise DataError(f"too few different frames to adapt to: {found}; give {LEAST_FRAMES} at least")
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


def evenly(items: Sequence[_Item], most: int) -> list[_Item]:
    """So many of them at most, from the first to the last."""
    chosen = np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int)
    return [items[index] for index in chosen]


def _some_frames(path: str, seen: set[bytes]) -> list[RawImage]:
    """Frames of one recording that were not seen before, and are of one size; at most twice ``FRAMES_EACH`` are held.

    Frames that hold NaN or no pixels are left out.
    """
    source = open_source(path)
    kept, step, news = list[RawImage](), 1, 0
    try:
        for capture in islice(source.frames(), LOOKED_AT):
            image = capture.image
            if image is None or not _is_news(image, seen) or (kept and image.shape != kept[0].shape):
                continue
            if news % step == 0:
                kept.append(np.array(image))
            news += 1
            if len(kept) == 2 * FRAMES_EACH:
                kept, step = kept[::2], 2 * step
    finally:
        source.close()
    return evenly(kept, FRAMES_EACH)


def _is_news(image: RawImage, seen: set[bytes]) -> bool:
    """Whether a frame can be shown and is none of those seen; it is one of them then."""
    try:
        to_unit(image)
    except ValueError:
        return False
    mark = blake2b(np.ascontiguousarray(image).data, digest_size=16, person=str(image.shape).encode()[:16]).digest()
    is_new = mark not in seen
    seen.add(mark)
    return is_new


def _is_coloured(raw: RawImage) -> bool:
    if raw.ndim != 3 or raw.shape[2] < 3:
        return False
    colour = find_colour(raw)
    tinted = colour is None and float(np.ptp(raw[..., :3].astype(np.float32), axis=2).mean()) > 16
    return tinted or (colour is not None and (colour.where > 0).mean() > _COLOURED)


def _patches(frame: Image, mask: NDArray[np.uint8]) -> list[Image]:
    """Windows of tissue, evenly spread over it; neighbours overlap by half."""
    height, width = frame.shape
    corners = product(range(0, height - PATCH + 1, PATCH // 2), range(0, width - PATCH + 1, PATCH // 2))
    windows = [np.s_[y : y + PATCH, x : x + PATCH] for y, x in corners]
    tissue = [window for window in windows if (mask[window] > 0).mean() >= _TISSUE]
    return [frame[window] for window in evenly(tissue, _PATCHES_EACH)]

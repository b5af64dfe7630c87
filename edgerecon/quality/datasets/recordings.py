"""Pick frames to measure from recordings: one file of any kind that can be streamed, or a folder of such files."""

from __future__ import annotations

import logging
from itertools import islice
from pathlib import Path

import numpy as np

from edgerecon.core.errors import DataError, DependencyError, SourceError, printable
from edgerecon.core.frame import Image, to_unit

_log = logging.getLogger(__name__)


def load_recordings(data: Path, frames_per_file: int) -> tuple[dict[str, list[Image]], list[str]]:
    """Evenly spaced frames of each recording; the first ones where the length is unknown.

    Args:
        data: a file, or a folder whose readable files (recursively, by name) are taken one by one.

    Returns:
        File name → frames, float32 (H, W) in [0, 1]; and notes on the files and frames that were left out.

    Raises:
        SourceError: a single file is missing or unreadable.
        DataError: a folder holds nothing readable.
    """
    if not data.is_dir():
        frames, skipped = _frames(data, frames_per_file)
        if not frames:
            raise DataError(f"{data} holds no readable frame")
        return {data.name: frames}, skipped
    found: dict[str, list[Image]] = {}
    notes: list[str] = []
    unreadable: list[str] = []
    for path in sorted(p for p in data.rglob("*") if p.is_file() and not p.name.startswith(".")):
        try:
            frames, skipped = _frames(path, frames_per_file)
        except DependencyError as error:
            notes.append(f"left out: {printable(path.name)}: {error}")
            continue
        except SourceError as error:
            _log.info("left out: %s", error)
            unreadable.append(printable(path.name))
            continue
        notes += skipped
        if frames:
            found[printable(path.relative_to(data).as_posix())] = frames
    if not found:
        raise DataError(f"{data} holds no recording that can be read")
    if unreadable:
        notes.append(f"left out, not readable as recordings: {', '.join(unreadable)}")
    return found, notes


def is_recording(data: Path) -> bool:
    """Whether it exists, or is a name that stands for a recording, such as "sample"."""
    from edgerecon.stream.sources.kind import source_kinds

    return data.exists() or any(str(data) in kind.words for kind in source_kinds().values())


def _frames(path: Path, count: int) -> tuple[list[Image], list[str]]:
    from edgerecon.stream.sources import open_source

    source = open_source(str(path))
    try:
        length = source.length
        wanted = set(range(count)) if not length else set(_evenly(length, count))
        frames: list[Image] = []
        skipped: list[str] = []
        for index, capture in enumerate(source.frames()):
            if index in wanted:
                try:
                    if capture.image is None:
                        raise ValueError(capture.fault or "unreadable")
                    frames.append(to_unit(capture.image))
                except ValueError as error:
                    skipped.append(f"left out: frame {index} of {path.name}: {error}")
            if index >= max(wanted):
                break
        return frames, skipped
    finally:
        source.close()


def load_clips(data: Path, names: list[str], length: int = 5) -> dict[str, list[Image]]:
    """The first frames of recordings that hold at least so many of one size, for measures over time.

    Args:
        data, names: as given to, and returned by, ``load_recordings``.
    """
    from edgerecon.stream.sources import open_source

    clips = {}
    for name in names:
        path = data / name if data.is_dir() else data
        if data.is_dir() and not path.is_file():  # a name that could not be printed as it is
            continue
        source = open_source(str(path))
        try:
            images = [capture.image for capture in islice(source.frames(), length)]
        finally:
            source.close()
        whole = [to_unit(image) for image in images if image is not None]
        if len(whole) == length and len({image.shape for image in whole}) == 1:
            clips[name] = whole
    return clips


def _evenly(length: int, count: int) -> list[int]:
    """Up to ``count`` indices inside a recording, the ends avoided: probes are lifted there."""
    return np.linspace(0, length - 1, count + 2)[1:-1].astype(int).tolist()

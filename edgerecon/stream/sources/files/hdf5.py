"""A dataset of frames in HDF5, as our own recordings are. Other layouts are in ``edgerecon.stream.sources.channel``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import SourceError
from edgerecon.core.frame import RawImage
from edgerecon.stream.protocols.pose_columns import read_poses
from edgerecon.stream.sources.base import Capture, Source
from edgerecon.stream.sources.files.hdf5_chunks import Frames, read
from edgerecon.stream.sources.files.hdf5_superblock import MAGIC, USER_BLOCKS
from edgerecon.stream.sources.flat import layout_of
from edgerecon.stream.sources.frame_rate import taken_period_s
from edgerecon.stream.sources.hdf5_file import (
    attribute,
    dataset,
    one_line_errors,
    opened,
    refuse_other_files,
    table,
)
from edgerecon.stream.sources.kind import SourceKind, source_kinds
from edgerecon.stream.sources.pixel_spacing import taken_spacing_mm
from edgerecon.stream.sources.query import Query
from edgerecon.stream.sources.scaling import Scale, sampled

if TYPE_CHECKING:
    import h5py


def open_hdf5(place: str, query: Query) -> Source:
    """Open a dataset of frames.

    Raises:
        SourceError: not HDF5, damaged, or of a layout that is not known.
        DependencyError: h5py is absent.
    """
    path = Path(place)
    with one_line_errors(path.name):
        with opened(path) as file:
            refuse_other_files(file)
            if "frames" not in file:
                layouts = ", ".join(kind.name for kind in source_kinds().values() if kind.holds is not None)
                found = ", ".join(list(file)[:8]) or "nothing"
                raise SourceError(f"{path.name} holds {found}: known are a dataset 'frames' and the layouts {layouts}")
        return Hdf5Source(path, "frames")


class Hdf5Source:
    """A dataset of T×H×W, H×W, T×H×W×3 or H×W×3 frames, read one by one; what the HDF5 sink writes is such a file.

    Attributes ``period_s`` and ``spacing_mm`` of the file are taken over, and ``IMAGE_WHITE_IS_ZERO`` of the dataset
    (HDF5 Image specification). Grey levels are scaled as in
    ``flat``. A recording whose writer was killed plays as far as every part of it was written.
    """

    live = False

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key, self.name = path, key, path.name
        with opened(path) as file:
            found = dataset(file, key)
            layout = layout_of(self.name, found.shape, found.dtype)
            self._single = len(layout.shape) == found.ndim  # one picture, without an axis of frames
            count = min(layout.count, len(dataset(file, "sequence"))) if "sequence" in file else layout.count
            self._layout = replace(layout, count=count)
            self._layout.check(self.name)
            self.length: int | None = count
            self.period_s = _period_s(file, self.name)
            self.spacing_mm = _spacing_mm(file, self.name)
            self._times_s = _times_s(file, count)
            self._is_negative = attribute(found, "IMAGE_WHITE_IS_ZERO") in (1, [1])
            unpacked = found.chunks[0] if found.chunks and not self._single else 1  # frames, to look at one
        self._scale = None
        if self._layout.dtype != np.uint8:
            wanted = sampled(self._layout.count, math.prod(self._layout.shape) * unpacked)
            images = (capture.image for capture in self._read(wanted) if capture.image is not None)
            self._scale = Scale(self.name, images)

    def frames(self) -> Iterator[Capture]:
        for capture in self._read(range(self._layout.count)):
            if self._scale is not None and capture.image is not None:
                capture.image = self._scale(capture.image)
            if self._is_negative and capture.image is not None:
                capture.image = _inverted(capture.image)
            yield capture

    def _read(self, wanted: Iterable[int]) -> Iterator[Capture]:
        with opened(self._path) as file:
            found, pose_at = dataset(file, self._key), read_poses(file, lambda key: Frames(dataset(file, key)))
            frames = Frames(found)
            for index in wanted:
                try:
                    image = read(found, 0, found.shape[0]) if self._single else frames[index]
                    pose = pose_at(index, image.shape)
                except (OSError, RuntimeError, ValueError) as error:
                    yield Capture(None, f"the file is damaged: {' '.join(str(error).split())}")
                    continue
                time_s = None if self._times_s is None else float(self._times_s[index])
                yield Capture(image, pose=pose, time_s=time_s)

    def close(self) -> None: ...


def _inverted(image: RawImage) -> RawImage:
    """Bright where it was dark, in its type."""
    white = np.iinfo(image.dtype).max if image.dtype.kind == "u" else 1
    return (white - image).astype(image.dtype)


def _times_s(file: h5py.File, count: int) -> NDArray[np.float64] | None:
    """When each frame was taken, as the recording sinks write it; None where it is not stated for all of them."""
    if "timestamps" not in file:
        return None
    values = table(file, "timestamps")
    if values.ndim != 1 or values.dtype.kind != "f" or len(values) < count or not np.all(np.isfinite(values[:count])):
        return None
    return np.asarray(values, np.float64)


def _period_s(file: h5py.File, name: str) -> float | None:
    if "period_s" not in file.attrs:
        return None
    values = _numbers(attribute(file, "period_s"))
    return taken_period_s(name, values[0] if len(values) == 1 else math.nan)


def _spacing_mm(file: h5py.File, name: str) -> tuple[float, float] | None:
    if "spacing_mm" not in file.attrs:
        return None
    values = _numbers(attribute(file, "spacing_mm"))
    return taken_spacing_mm(name, values if len(values) == 2 else [math.nan] * 2)


def _numbers(value: Any) -> list[float]:
    """Those of an attribute; none where it holds something else."""
    try:
        found: list[float] = np.asarray(value, np.float64).ravel().tolist()
    except (TypeError, ValueError):
        return []
    return found


SOURCE = SourceKind(
    name="HDF5",
    title="an HDF5 recording of frames",
    magic=(MAGIC, *((size, MAGIC) for size in USER_BLOCKS)),
    endings=(".h5", ".hdf5"),
    open=open_hdf5,
)

"""HDF5 by what it holds: a recording of ours, UFF (USTB), zea or pybf channel data, or any dataset of frames."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgerecon.errors import EdgereconError, SourceError, needed
from edgerecon.stream.pose_columns import read_poses
from edgerecon.stream.sources.base import Capture, Source
from edgerecon.stream.sources.flat import layout_of
from edgerecon.stream.sources.query import Query, refuse_unknown
from edgerecon.stream.sources.scaling import Scale, sampled

if TYPE_CHECKING:
    import h5py


def open_hdf5(path: Path, query: Query) -> Source:
    """Open an HDF5 recording; channel data are beamformed on the way in.

    Raises:
        SourceError: not HDF5, damaged, or of a layout that is not known.
        UsageError: an option that this kind of recording does not have.
        DependencyError: h5py or pyuff-ustb is absent.
    """
    try:
        with opened(path) as file:
            kind, key = _kind(file)
        if kind == "uff":
            from edgerecon.stream.sources.uff import open_uff

            return open_uff(path, key, query)
        if kind == "zea":
            from edgerecon.stream.sources.zea import open_zea

            return open_zea(path, query)
        if kind == "pybf":
            from edgerecon.stream.sources.pybf import open_pybf

            return open_pybf(path, query)
        refuse_unknown(query, (), "a recording of frames")
        return Hdf5Source(path, key)
    except EdgereconError:
        raise
    except Exception as error:  # h5py and pyuff fail in many ways on damaged files
        raise SourceError(f"{path.name} cannot be read as HDF5: {' '.join(str(error).split())}") from error


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file, also while it is written and when its writer was killed (HDF5's SWMR mode)."""
    with needed("stream", "h5py"):
        import h5py
    try:
        file = h5py.File(path, "r")
    except OSError as not_closed:
        try:
            file = h5py.File(path, "r", swmr=True)
        except (OSError, ValueError):
            raise SourceError(f"{path.name} cannot be read as HDF5: it is damaged or truncated") from not_closed
    with file:
        yield file


def dataset(file: h5py.Group, key: str) -> h5py.Dataset:
    """A dataset that lies in this very file.

    Raises:
        SourceError: it is absent, or the file refers to others (a recording must not make us read other files).
    """
    import h5py

    name = Path(file.file.filename).name
    parts = key.split("/")
    for depth in range(1, len(parts) + 1):
        link = file.get("/".join(parts[:depth]), getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise SourceError(f"{name}: '{key}' lies in another file: only data of the file itself are read")
    found = file.get(key)
    if not isinstance(found, h5py.Dataset):
        raise SourceError(f"{name} holds no dataset '{key}'")
    if found.external or found.is_virtual:
        raise SourceError(f"{name}: '{key}' lies in another file: only data of the file itself are read")
    return found


def scalar(file: h5py.Group, key: str, default: float | None = None) -> float | None:
    """A number, however many axes of length 1 it is wrapped in; ``default`` when it is absent or not finite."""
    if key not in file:
        return default
    values = np.asarray(dataset(file, key)[()]).ravel()
    return float(values[0]) if values.size and np.isfinite(values[0]) else default


def _kind(file: h5py.File) -> tuple[str, str]:
    """The layout, and the dataset or object in it to read."""
    if "frames" in file:
        return "frames", "frames"
    for key in file:
        if _text(file[key].attrs.get("class", "")) in ("uff.channel_data", "uff.beamformed_data"):
            return "uff", key
    if "data/rf_data" in file:
        return "pybf", ""
    for key in ("raw_data", "beamformed_data", "envelope_data", "image"):
        if f"data/{key}" in file or f"tracks/track_0/data/{key}" in file:
            return "zea", key
    found = ", ".join(list(file)[:8]) or "nothing"
    raise SourceError(
        f"{Path(file.filename).name} holds {found}: known are a dataset 'frames', UFF, zea and pybf recordings"
    )


def _text(value: Any) -> str:
    """MATLAB writes a class's name as bytes, Python as text or as an array of it."""
    value = value.flat[0] if isinstance(value, np.ndarray) and value.size else value
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


class Hdf5Source:
    """A dataset of T×H×W, H×W, T×H×W×3 or H×W×3 frames, read one by one; what the HDF5 sink writes is such a file.

    Attributes ``period_s`` and ``spacing_mm`` of the file are taken over. Grey levels are scaled as in
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
            self.period_s = _positive(file.attrs.get("period_s"), 1)
            self.spacing_mm = _positive(file.attrs.get("spacing_mm"), 2)
        self._scale = None
        if self._layout.dtype != np.uint8:
            wanted = sampled(self._layout.count, math.prod(self._layout.shape))
            images = (capture.image for capture in self._read(wanted) if capture.image is not None)
            self._scale = Scale(self.name, images)

    def frames(self) -> Iterator[Capture]:
        for capture in self._read(range(self._layout.count)):
            if self._scale is not None and capture.image is not None:
                capture.image = self._scale(capture.image)
            yield capture

    def _read(self, wanted: Iterable[int]) -> Iterator[Capture]:
        with opened(self._path) as file:
            found, pose_at = dataset(file, self._key), read_poses(file, partial(dataset, file))
            for index in wanted:
                try:
                    image = np.asarray(found[()] if self._single else found[index])
                except (OSError, RuntimeError, ValueError) as error:
                    yield Capture(None, f"the file is damaged: {' '.join(str(error).split())}")
                    continue
                native = image.astype(image.dtype.newbyteorder("="), copy=False)
                yield Capture(native, pose=pose_at(index, image.shape))

    def close(self) -> None: ...


def _positive(value: Any, count: int) -> Any:
    """One number or a pair of them; None when absent or impossible."""
    try:
        values = np.asarray(value, np.float64).ravel()
    except (TypeError, ValueError):
        return None
    if values.size != count or not np.all(np.isfinite(values) & (values > 0)):
        return None
    return float(values[0]) if count == 1 else tuple(values.tolist())

"""Channel data, beamformed into a file: complex pictures frame by frame, with their axes."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgerecon.beamform import Grid
from edgerecon.core.errors import EdgereconError, SourceError, UsageError, needed
from edgerecon.stream.sinks.files.part import Part, written
from edgerecon.stream.sources.channel.channel import ChannelSource

ENDINGS = (".npz", ".h5", ".uff")
_UFF_AT_MOST = 2 << 30  # bytes: pyuff-ustb writes an object whole

Frames = NDArray[np.complex64]


_Writer: TypeAlias = Callable[[NDArray[Any]], None]
"""Takes the frames in turn."""


@dataclass
class Written:
    """What was beamformed. ``faults``: of frames that could not be formed, by number. ``stages_ms``: of each frame."""

    path: Path
    frames: int = 0
    shape: tuple[int, int] = (0, 0)
    faults: dict[int, str] = field(default_factory=dict)
    stages_ms: dict[str, list[float]] = field(default_factory=dict)


def write_beamformed(
    source: ChannelSource, path: Path, frames: int | None = None, on_progress: Callable[[int, int], None] | None = None
) -> Written:
    """Beamform a recording into ``path``, under a temporary name until it is whole.

    ``.npz`` and ``.h5`` hold `beamformed` (T, H, W) complex64, `x_m` and `z_m` (H, W), and `spacing_mm`; ``.uff`` an
    object `beamformed_data` on its scan.

    Args:
        frames: at most; default: all.

    Raises:
        UsageError: another ending. SourceError: no frame could be formed. SinkError: it cannot be written.
    """
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"{path} cannot be written: give a name that ends in {', '.join(ENDINGS)}")
    grid, total = source.form.beamformer.grid, min(frames or source.acquisition.frames, source.acquisition.frames)
    done, part = Written(path, shape=grid.shape), Part(path)
    try:
        with written(path), _WRITERS[path.suffix.lower()](part.temporary, grid, total, source) as write:
            for index in range(total):
                try:
                    signals = np.asarray(source.read(index))
                    formed, stages_ms = source.form.formed(signals)
                except (EdgereconError, OSError, ValueError, KeyError, RuntimeError) as error:
                    done.faults[index] = " ".join(str(error).split())
                    continue
                write(formed)
                done.frames += 1
                for stage, spent in stages_ms.items():
                    done.stages_ms.setdefault(stage, []).append(spent)
                if on_progress is not None:
                    on_progress(index + 1, total)
            if not done.frames:
                raise SourceError(f"no frame of {source.name} could be formed: {next(iter(done.faults.values()), '')}")
        part.finish()
    except BaseException:
        part.discard()
        raise
    return done


def _axes(grid: Grid) -> Mapping[str, NDArray[np.floating]]:
    x, z = grid.points_m()
    return {"x_m": x.astype(np.float32), "z_m": z.astype(np.float32), "spacing_mm": np.asarray(grid.spacing_mm)}


@contextmanager
def _npz(path: Path, grid: Grid, total: int, source: ChannelSource) -> Iterator[_Writer]:
    """Frames go into the archive as they come; the header is written for all of them, and for fewer anew."""
    spooled = path.with_name(path.name + ".frames")
    count = 0

    def write(frame: NDArray[Any]) -> None:
        nonlocal count
        raw.write(np.ascontiguousarray(frame, np.complex64).tobytes())
        count += 1

    try:
        with spooled.open("wb") as raw:
            yield write
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            header = {"descr": "<c8", "fortran_order": False, "shape": (count, *grid.shape)}
            with archive.open("beamformed.npy", "w", force_zip64=True) as entry, spooled.open("rb") as raw_again:
                np.lib.format.write_array_header_2_0(entry, header)
                while piece := raw_again.read(1 << 20):
                    entry.write(piece)
            for name, values in _axes(grid).items():
                with archive.open(f"{name}.npy", "w") as entry:
                    np.lib.format.write_array(entry, np.asarray(values))
    finally:
        spooled.unlink(missing_ok=True)


@contextmanager
def _hdf5(path: Path, grid: Grid, total: int, source: ChannelSource) -> Iterator[_Writer]:
    with needed("stream", "h5py"):
        import h5py
    with h5py.File(path, "w") as file:
        shape = (total, *grid.shape)
        data = file.create_dataset(
            "beamformed", shape, np.complex64, chunks=(1, *grid.shape), maxshape=(None, *grid.shape)
        )
        count = 0

        def write(frame: NDArray[Any]) -> None:
            nonlocal count
            data[count] = frame
            count += 1

        yield write
        data.resize(count, 0)
        for name, values in _axes(grid).items():
            file[name] = values
        if source.period_s:
            file.attrs["period_s"] = source.period_s


@contextmanager
def _uff(path: Path, grid: Grid, total: int, source: ChannelSource) -> Iterator[_Writer]:
    with needed("stream", "pyuff-ustb"):
        import pyuff_ustb
    height, width = grid.shape
    if 8 * total * height * width > _UFF_AT_MOST:
        raise SourceError(f"{total} frames are more than a UFF file is written with: give .h5, or fewer --frames")
    x, z = grid.points_m()
    if np.ptp(x, axis=0).max() > 0 or np.ptp(z, axis=1).max() > 0:
        raise SourceError("a UFF file is written on a linear scan: give .h5 for a polar grid")
    kept: list[NDArray[Any]] = []
    yield kept.append
    pixels = np.stack([frame.T.ravel() for frame in kept], -1)[:, None, None, :]  # columns first, as USTB counts them
    found = pyuff_ustb.BeamformedData(
        scan=pyuff_ustb.LinearScan(x_axis=x[0][:, None], z_axis=z[:, 0][:, None]),
        data=pixels,
        frame_rate=1 / source.period_s if source.period_s else 1.0,
    )
    path.unlink()  # pyuff-ustb makes the file, and takes the name for an HDF5 file's
    found.write(str(path), "beamformed_data", ignore_missing_compulsory_fields=True)


_WRITERS = {".npz": _npz, ".h5": _hdf5, ".uff": _uff}

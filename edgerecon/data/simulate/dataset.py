"""Writes simulated samples to HDF5: every core, resumable, the same seed gives the same file.

Layout ("edgerecon-pairs/1"): root attributes ``format``, ``seed``, ``frames``, ``simulator``; one group a sample,
``sample_00000``, …, with uint8 datasets "pw1", "pw3", "pw7", "pw31" and "clean" of shape (256, 256), or
(frames, 256, 256), and the sample's parameters as attributes.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

from edgerecon.cluster import Spread
from edgerecon.data.processes import deaf_processes
from edgerecon.errors import DataError, DependencyError, UsageError

FORMAT = "edgerecon-pairs/1"
SIMULATOR = 1  # raised whenever the same seed would give other images
_log = logging.getLogger(__name__)


def simulate(
    path: Path,
    samples: int,
    seed: int,
    frames: int = 1,
    workers: int | None = None,
    on_sample: Callable[[int, int], None] | None = None,
    spread: Spread | None = None,
) -> int:
    """Simulate samples 0 … ``samples`` − 1 of a seed into ``path``.

    Work in progress lives in ``<path>.partial``, one sample at a time, and is renamed when complete; an interrupted
    call goes on from there, and a finished file is extended when more samples are asked for.

    Args:
        path: the HDF5 file to make. frames: images in each sample's sequence.
        workers: processes; default: the cores this process may use.
        on_sample: called with (done, samples) after each.
        spread: does the work instead of processes here (see ``edgerecon.cluster``); the file is the same.

    Returns:
        How many samples were newly simulated.

    Raises:
        UsageError: a count below 1. DataError: ``path`` holds something else, or cannot be written.
    """
    h5py = _h5py()
    if samples < 1 or frames < 1:
        raise UsageError("--samples and --sequence must be at least 1")
    header = {"format": FORMAT, "seed": seed, "frames": frames, "simulator": SIMULATOR}
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            done = _count_done(h5py, path, header, path)
            if done >= samples:
                return 0
            os.replace(path, partial)
        done = _count_done(h5py, partial, header, path) if partial.exists() else 0
        if not done:
            with h5py.File(partial, "w", libver="latest") as file:
                file.attrs.update(header)
        if on_sample:
            on_sample(done, samples)
        made = 0
        indices = range(done, samples)
        results: Iterator[tuple[int, Any]]
        if spread:
            results = zip(indices, spread(functools.partial(_job, seed, frames), indices), strict=True)
        else:
            results = _in_order(seed, indices, frames, workers)
        for index, (images, facts) in results:
            _append(h5py, partial, index, images, facts)
            made += 1
            if on_sample:
                on_sample(index + 1, samples)
        os.replace(partial, path)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}; choose a writable place with space") from None
    return made


def _h5py() -> Any:
    try:
        import h5py
        import numba  # noqa: F401
    except ImportError as error:
        raise DependencyError(str(error.name), "train") from None
    return h5py


def _count_done(h5py: Any, file_path: Path, header: dict[str, Any], path: Path) -> int:
    """Number of whole samples in a file of ours; 0 when an interruption left it unreadable."""
    try:
        with h5py.File(file_path, "r") as file:
            found = {key: file.attrs.get(key) for key in header}
            count = sum(1 for name in file if file[name].attrs.get("complete", False))
    except OSError as error:
        if file_path == path:
            raise DataError(f"{path} is not an HDF5 file: move it away or choose another name") from error
        _log.warning("%s is unreadable after an interruption: starting anew", file_path)
        return 0
    differing = [key for key in header if found[key] != header[key]]
    if differing:
        raise DataError(f"{file_path} was made with another {differing[0]} ({found[differing[0]]}): delete it first")
    return count


def _append(h5py: Any, path: Path, index: int, images: dict[str, Any], facts: dict[str, Any]) -> None:
    """Add one sample; the file is closed after each so that a kill loses at most the sample being written."""
    with h5py.File(path, "r+", libver="latest") as file:
        name = f"sample_{index:05d}"
        if name in file:
            del file[name]
        group = file.create_group(name)
        for key, image in images.items():
            group.create_dataset(key, data=image)
        group.attrs.update(facts)
        group.attrs["complete"] = True


def _in_order(seed: int, indices: range, frames: int, workers: int | None) -> Iterator[tuple[int, Any]]:
    """Samples in order, simulated by one single-threaded process a core, a few ahead of the writer."""
    workers = workers or len(os.sched_getaffinity(0))
    job = functools.partial(_job, seed, frames)
    with ProcessPoolExecutor(workers, mp_context=deaf_processes()) as pool:
        waiting: list[Future[Any]] = []
        upcoming = iter(indices)
        try:
            for index in indices:
                while len(waiting) < 2 * workers and (following := next(upcoming, None)) is not None:
                    waiting.append(pool.submit(job, following))
                yield index, waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()


def _job(seed: int, frames: int, index: int) -> Any:
    from edgerecon.data.simulate.sample import simulate_sample

    return simulate_sample(seed, index, frames)

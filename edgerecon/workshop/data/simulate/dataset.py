"""Writes simulated samples to HDF5: every core, resumable, the same seed gives the same file.

Layout ("edgerecon-pairs/1"): root attributes ``format``, ``kind``, ``seed``, ``frames``, ``simulator``; one group a
sample, ``sample_00000``, …, with one uint8 dataset an image, of shape (H, W) or (frames, H, W), and the sample's
parameters as attributes. What the images are depends on the kind of simulation, see ``KINDS``.
"""

from __future__ import annotations

import functools
import importlib
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgerecon.core.cluster import Spread
from edgerecon.core.errors import DataError, UsageError, needed
from edgerecon.hardware.host import usable_cores
from edgerecon.workshop.data.processes import worker_pool

FORMAT = "edgerecon-pairs/1"
_log = logging.getLogger(__name__)

Sample = tuple[dict[str, Any], dict[str, Any]]
"""Images by name, and the parameters that they were made with."""


@dataclass(frozen=True)
class Kind:
    """A way to simulate.

    Attributes:
        version: raised whenever the same seed would give other images.
        module: has ``function(seed, index)``, with ``frames`` as third argument where it makes ``sequences``.
    """

    version: int
    module: str
    function: str = "simulate_sample"
    sequences: bool = False


KINDS = {
    "acoustic": Kind(2, "edgerecon.workshop.data.simulate.sample", sequences=True),
    "display": Kind(1, "edgerecon.workshop.data.display.sample"),
    "lesions": Kind(1, "edgerecon.workshop.data.display.sample", "simulate_small_lesions"),
    "recorded": Kind(1, "edgerecon.workshop.data.display.sample", "simulate_recorded"),
    "channel": Kind(1, "edgerecon.workshop.data.simulate.channel"),
}
"""acoustic: plane waves in random tissue, "pw1" … "pw31", "clean" and "expected". display: "shown" and "expected";
lesions, recorded: the same, of small lesions and of strongly coded recordings. channel: "parts" of the aperture and
"pw31"."""


def simulate(
    path: Path,
    samples: int,
    seed: int,
    frames: int = 1,
    workers: int | None = None,
    on_sample: Callable[[int, int], None] | None = None,
    spread: Spread | None = None,
    kind: str = "acoustic",
) -> int:
    """Simulate samples 0 … ``samples`` − 1 of a seed into ``path``.

    Work in progress lives in ``<path>.partial``, one sample at a time, and is renamed when complete; an interrupted
    call goes on from there, and a finished file is extended when more samples are asked for.

    Args:
        path: the HDF5 file to make. frames: images in each sample's sequence.
        workers: processes; default: the cores this process may use.
        on_sample: called with (done, samples) after each.
        kind: one of ``KINDS``.
        spread: does the work instead of processes here (see ``edgerecon.core.cluster``); the file is the same.

    Returns:
        How many samples were newly simulated.

    Raises:
        UsageError: a count below 1, an unknown kind, or sequences of one that makes single frames.
        DataError: ``path`` holds something else, or cannot be written. EdgereconError: see ``worker_pool``; the samples
            that were finished are kept.
    """
    h5py = _h5py()
    _check_asked(samples, frames, kind)
    if not path.name:
        raise DataError(f"{path} is no file: give a name, e.g. pairs.h5")
    header = {"format": FORMAT, "kind": kind, "seed": seed, "frames": frames, "simulator": KINDS[kind].version}
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
        job = functools.partial(_job, kind, seed, frames)
        results: Iterator[tuple[int, Sample]]
        if spread:
            results = zip(indices, spread(job, indices), strict=True)
        else:
            results = _in_order(job, indices, workers)
        for index, (images, facts) in results:
            _append(h5py, partial, index, images, facts)
            made += 1
            if on_sample:
                on_sample(index + 1, samples)
        os.replace(partial, path)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}; choose a writable place with space") from None
    return made


def _check_asked(samples: int, frames: int, kind: str) -> None:
    if samples < 1 or frames < 1:
        raise UsageError("--samples and --sequence must be at least 1")
    if kind not in KINDS:
        raise UsageError(f"unknown kind of simulation '{kind}': choose one of {', '.join(KINDS)}")
    if frames > 1 and not KINDS[kind].sequences:
        raise UsageError(f"--kind {kind} makes single frames: leave out --sequence")


def _h5py() -> Any:
    with needed("train"):
        import h5py
        import numba  # noqa: F401
    return h5py


def _count_done(h5py: Any, file_path: Path, header: dict[str, Any], path: Path) -> int:
    """Number of whole samples in a file of ours; 0 when an interruption left it unreadable."""
    try:
        with h5py.File(file_path, "r") as file:
            found = {key: file.attrs.get(key) for key in header}
            found["kind"] = found["kind"] or "acoustic"  # files of earlier releases do not say
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


def _in_order(job: Callable[[int], Sample], indices: range, workers: int | None) -> Iterator[tuple[int, Sample]]:
    """Samples in order, simulated by one single-threaded process a core, a few ahead of the writer."""
    workers = workers or usable_cores()
    with worker_pool(workers) as pool:
        waiting: list[Future[Sample]] = []
        upcoming = iter(indices)
        try:
            for index in indices:
                while len(waiting) < 2 * workers and (following := next(upcoming, None)) is not None:
                    waiting.append(pool.submit(job, following))
                yield index, waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()


def _job(kind: str, seed: int, frames: int, index: int) -> Sample:
    import cv2

    cv2.setNumThreads(1)
    simulate_one = getattr(importlib.import_module(KINDS[kind].module), KINDS[kind].function)
    made: Sample = simulate_one(seed, index, frames) if KINDS[kind].sequences else simulate_one(seed, index)
    return made

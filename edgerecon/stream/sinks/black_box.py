"""The last seconds before every fault, kept on disk in a folder of bounded size.

Each incident is a pair of files named after its number, its time (UTC) and its first fault:

    NAME.npz    frames and before, uint8 (T, H, W), with fps, timestamps, spacing_mm and poses: it can be streamed again
    NAME.jsonl  one line for the incident, then one for each frame: sequence, captured_ns, raw, late

Nothing of the patient is in them but the pictures.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import zipfile
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from time import monotonic

import numpy as np

from edgerecon.core.errors import SinkError, UsageError
from edgerecon.core.frame import Frame, Image, Status
from edgerecon.core.pose import Pose
from edgerecon.stream.process.guarded import GuardedThread
from edgerecon.stream.process.scheduling import lower_priority
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.files.npz import table_of, write_facts, write_poses, write_rows
from edgerecon.stream.sinks.files.panel import fit_uint8
from edgerecon.stream.sinks.files.part import Part, leftovers, written
from edgerecon.stream.sinks.files.stamps import Stamp, Stamps, recorded_pose
from edgerecon.stream.sinks.kind import SinkKind, path_of
from edgerecon.stream.sources.query import Query

SECONDS = 10.0
_WORD = "black-box"
_MEMORY = 256_000_000
"""Bytes of frames in memory; as much again while an incident is written."""

_FOLDER = 1_000_000_000
_BURST = 5
"""Frames lost between two that were shown, from which on it is an incident."""

_LOOK_EVERY_S = 0.25
_TOLD = ("sequence", "captured_ns", "raw", "late")
"""What the lines say of each frame."""

_INCIDENT = re.compile(r"(\d{6,}-)?\d{4}-\d\d-\d\dT.*\.(npz|jsonl)")
_FAULTS = {"sinks_lost": "sink-lost", "hung": "engine-hung", "stalls": "source-stalled", "failed": "frame-unreadable"}
"""Counters that mean a fault when they grow, and what it is called."""

_log = logging.getLogger(__name__)


@dataclass
class Tape:
    """The last frames, in a ring.

    Attributes:
        frames, before: uint8 (N, H, W). stamps, poses: of the frames in them, oldest first; the newest is at
            ``next - 1``.
    """

    frames: np.ndarray
    before: np.ndarray
    stamps: list[Stamp]
    poses: list[Pose | None]
    next: int = 0

    def in_order(self) -> list[int]:
        """Indices of the stored frames, oldest first."""
        length = len(self.frames)
        return [(self.next - len(self.stamps) + index) % length for index in range(len(self.stamps))]


class BlackBoxSink:
    """Remembers the last 10 s and writes them down when something goes wrong: a frame shown raw, five or more lost at
    once, a sink lost, an engine that hangs, a source that stalls, an unreadable frame.

    Writing goes on behind the stream. Faults that follow within 10 s belong to the same incident and are logged with
    the next one. The oldest incidents are deleted before the folder holds more than 1 GB.

    Raises:
        SinkError: the folder cannot be made or written.
    """

    quick = True

    def __init__(self, folder: Path, seconds: float = SECONDS, folder_bytes: int = _FOLDER) -> None:
        self.name = f"black-box:{folder}"
        self.folder, self._seconds, self._folder_bytes = folder, seconds, folder_bytes
        self._tape: Tape | None = None
        self._lock = threading.Lock()
        self._faults: list[dict[str, object]] = []
        self._stop = threading.Event()
        self._noted = threading.Event()
        self._thread: GuardedThread | None = None
        self._last: int | None = None
        self._quiet_until = 0.0

    def open(self, info: StreamInfo) -> None:
        with written(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            for cut in leftovers(self.folder, (".npz", ".jsonl")):
                if _INCIDENT.fullmatch(cut.name):
                    cut.path.unlink()  # an incident that was cut off while it was written has no end to be read by
            probe = self.folder / f".{os.getpid()}.part"
            probe.touch()
            probe.unlink()
        self._info = info
        self._seen = {name: getattr(info.counters, name, 0) for name in _FAULTS}
        self._thread = GuardedThread(self.name, self._watch)
        self._thread.start()

    def present(self, before: Image, after: Frame, late: bool) -> None:
        if self._thread is not None:
            self._thread.check(SinkError)
        raw = after.status is Status.RAW
        with self._lock:
            tape = self._tape = self._tape or self._blank(after.pixels.shape)
            at, length = tape.next, len(tape.frames)
            for kept, image in ((tape.frames, after.pixels), (tape.before, before)):
                fit_uint8(image, self._panel, kept[at])
            tape.next = (at + 1) % length
            tape.stamps.append(Stamp.of(after, late, self._info, tape.frames.shape[1:]))
            tape.poses.append(recorded_pose(after, tape.frames.shape[1:]))
            del tape.stamps[:-length], tape.poses[:-length]
        lost, self._last = after.sequence - 1 - (after.sequence if self._last is None else self._last), after.sequence
        if raw:
            self._note("raw-shown", after.sequence)
        if lost >= _BURST:
            self._note("frames-lost", after.sequence, lost=lost)

    def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stop.set()
            self._noted.set()
            thread.join()
        self._tape = None
        if thread is not None:
            thread.check(SinkError)

    def _blank(self, shape: tuple[int, ...]) -> Tape:
        self._panel = np.empty(shape, np.float32)
        size = int(np.prod(shape))
        length = max(2, min(round(self._seconds / self._info.period_s), _MEMORY // (2 * size)))
        return Tape(np.empty((length, *shape), np.uint8), np.empty((length, *shape), np.uint8), [], [])

    def _note(self, fault: str, sequence: int | None, **more: object) -> None:
        with self._lock:
            if len(self._faults) < 1000:
                self._faults.append({"fault": fault, "at": _now(), "sequence": sequence, **more})
        self._noted.set()

    def _watch(self) -> None:
        """Look for faults that no frame tells of, and write incidents."""
        lower_priority()
        while not self._stop.is_set():
            self._noted.wait(_LOOK_EVERY_S)
            self._noted.clear()
            self._look()
            if self._faults and monotonic() >= self._quiet_until:
                self._keep()
                self._quiet_until = monotonic() + self._seconds
        self._look()
        if self._faults:
            self._keep()

    def _look(self) -> None:
        for name, fault in _FAULTS.items():
            value = getattr(self._info.counters, name, 0)
            if value > self._seen[name]:
                self._note(fault, self._last, count=value - self._seen[name])
                self._seen[name] = value

    def _keep(self) -> None:
        with self._lock:
            tape, self._tape = self._tape, None
            faults, self._faults = self._faults, []
        try:
            _write(self.folder, tape, faults, self._info, self._folder_bytes)
        except SinkError as error:
            _log.warning("an incident is not kept: %s", error)


def _write(folder: Path, tape: Tape | None, faults: list[dict[str, object]], info: StreamInfo, most: int) -> None:
    size = 2 * tape.frames[0].size * len(tape.stamps) + 4096 if tape else 4096
    with written(folder):
        folder.mkdir(parents=True, exist_ok=True)  # it may have been removed
    _make_room(folder, most - size)
    name = f"{_next_number(folder):06d}-{_now().replace(':', '-')}-{faults[0]['fault']}"
    counters = {key: value for key, value in info.counters.snapshot().items() if isinstance(value, int | float)}
    head = {"faults": faults, "source": info.source, "model": info.model, "backend": info.backend, "counters": counters}
    lines = Part(folder / f"{name}.jsonl")
    try:
        with written(lines.path):
            stamps = [{key: getattr(stamp, key) for key in _TOLD} for stamp in tape.stamps] if tape else []
            lines.temporary.write_text("".join(json.dumps(line) + "\n" for line in (head, *stamps)), "utf-8")
        if tape is not None and size <= most:
            _write_frames(folder / f"{name}.npz", tape, info)
        lines.finish()
    finally:
        lines.discard()
    _log.warning("incident kept: %s", folder / f"{name}.jsonl")


def _write_frames(path: Path, tape: Tape, info: StreamInfo) -> None:
    """An .npz, frame by frame, for a copy of the tape would take as much memory again."""
    part, stamps = Part(path), Stamps(info)
    for stamp in tape.stamps:
        stamps.add(stamp)
    try:
        with written(path), zipfile.ZipFile(part.temporary, "w") as archive:
            for name, images in (("frames", tape.frames), ("before", tape.before)):
                shape = (len(tape.stamps), *images.shape[1:])
                write_rows(archive, name, images.dtype, shape, (images[at] for at in tape.in_order()))
            write_facts(archive, stamps)
            if any(tape.poses):
                write_poses(archive, table_of(tape.poses, tape.frames.shape[1:]))
        part.finish()
    finally:
        part.discard()


def _make_room(folder: Path, most: int) -> None:
    """Delete the oldest incidents until at most ``most`` bytes are left."""
    kept = sorted(_kept(folder), key=lambda path: (_number(path), path.name))
    total = sum(path.stat().st_size for path in kept)
    for path in kept:
        if total <= most:
            return
        total -= path.stat().st_size
        with written(path):
            path.unlink()


def _kept(folder: Path) -> list[Path]:
    """Incidents alone: what else lies there is not ours to delete."""
    return [path for path in folder.iterdir() if _INCIDENT.fullmatch(path.name) and path.is_file()]


def _next_number(folder: Path) -> int:
    return 1 + max((_number(path) for path in _kept(folder)), default=0)


def _number(path: Path) -> int:
    """Of an incident: what says which came first, for a clock may be set back. 0: before they were numbered."""
    found = re.match(r"(\d{6,})-", path.name, re.ASCII)
    return int(found[1]) if found and len(found[1]) < 20 else 0


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _open(place: str, query: Query) -> BlackBoxSink:
    folder = place.removeprefix(_WORD).removeprefix(":")
    if not folder:
        raise UsageError("a black box keeps its incidents in a folder: give black-box:DIR")
    return BlackBoxSink(path_of(folder))


SINK = SinkKind(
    name="black box",
    title="a black box",
    words=(_WORD,),
    addresses=(f"{_WORD}:DIR",),
    options=None,
    folder=True,
    open=_open,
)

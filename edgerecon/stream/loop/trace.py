"""Every frame's stages, for whoever wants to see them; as a file for Perfetto (ui.perfetto.dev) or chrome://tracing.

The file has the trace-event array format.
"""

from __future__ import annotations

import json
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, Full, Queue

from edgerecon.core.errors import SinkError, first_line
from edgerecon.stream.process.guarded import GuardedThread

_DEPTH = 4096
_CLOSE_S = 5.0
_log = logging.getLogger(__name__)

Span = tuple[str, int, int]
"""Stage, begin and end in ``perf_counter_ns``."""

Note = tuple[int, str, tuple[Span, ...]]
"""Sequence number, fate and stages of one frame."""


class Trace(ABC):
    """Takes note of frames and writes them on a thread of its own, so that a slow destination holds up no frame.

    A kind of trace gives ``_write``, and calls ``_start`` once it is ready.

    Attributes:
        skipped: frames that were left out, because the destination was too slow or gave up.
    """

    def __init__(self) -> None:
        self.skipped = 0
        self._queue: Queue[Note | None] = Queue(_DEPTH)
        self._given_up = False

    def frame(self, sequence: int, fate: str, spans: Iterable[Span]) -> None:
        """Note one frame: its fate ("presented", "late", "raw", "dropped: why") and the stages it went through."""
        if self._given_up:
            self.skipped += 1
            return
        try:
            self._queue.put_nowait((sequence, fate, tuple(spans)))
        except Full:
            self.skipped += 1

    def close(self) -> None:
        """Write what waits, and finish. What a destination that hangs does not take is given up."""
        with suppress(Full):
            self._queue.put(None, timeout=_CLOSE_S)
        self._thread.join(_CLOSE_S)

    @abstractmethod
    def _write(self, notes: Iterator[Note]) -> None:
        """Write the notes as they come, then finish."""

    def _start(self, name: str) -> None:
        work = partial(self._write, iter(self._queue.get, None))
        self._thread = GuardedThread(name, work, self._failed)
        self._thread.start()

    def _failed(self, error: BaseException) -> None:
        self._given_up = True
        _log.warning("the trace ends: %s", first_line(error))
        with suppress(Empty):
            while True:
                self.skipped += self._queue.get_nowait() is not None


class FileTrace(Trace):
    """A file that is written at least once a second.

    Each line is one whole event: the format lets the closing bracket be absent, so that the file of a killed process
    can be read too. A disk that is full ends the trace alone.

    Args:
        path: written anew.

    Raises:
        SinkError: the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        self.path = Path(path)
        try:
            self._file = self.path.open("w", encoding="utf-8")
        except OSError as error:
            raise SinkError(f"cannot write {self.path}: {error.strerror or error}") from error
        self._start("trace")

    def _write(self, notes: Iterator[Note]) -> None:
        try:
            with self._file as file:
                rows: dict[str, int] = {}
                file.write("[\n" + json.dumps(_named("process_name", 0, "edgerecon")))
                for note in notes:
                    file.writelines(",\n" + json.dumps(event) for event in _events(rows, *note))
                    if self._queue.empty():
                        file.flush()
                file.write("\n]\n")
        except OSError as error:
            raise SinkError(f"cannot write {self.path}: {error.strerror or error}") from error


def _named(kind: str, row: int, name: str) -> dict[str, object]:
    """What the viewer calls the process, or one of its rows."""
    return {"name": kind, "ph": "M", "pid": 1, "tid": row, "args": {"name": name}}


def _events(rows: dict[str, int], sequence: int, fate: str, spans: Iterable[Span]) -> Iterator[dict[str, object]]:
    """One event a span; each stage has a row, ``rows`` knows those that were met."""
    arguments = {"frame": sequence, "fate": fate}
    for stage, begin, end in spans:
        if stage not in rows:
            rows[stage] = len(rows) + 1
            yield _named("thread_name", rows[stage], stage)
        yield {
            "name": stage,
            "cat": "frame",
            "ph": "X",
            "pid": 1,
            "tid": rows[stage],
            "ts": begin / 1e3,
            "dur": max(0, end - begin) / 1e3,
            "args": arguments,
        }

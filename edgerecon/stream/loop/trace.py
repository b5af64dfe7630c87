"""Every frame's stages as a file for Perfetto (ui.perfetto.dev) or chrome://tracing: the trace-event array format."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from queue import Full, Queue

from edgerecon.core.errors import SinkError
from edgerecon.stream.process.guarded import GuardedThread

_STAGES = ("capture", "wait for engine", "preprocess", "infer", "postprocess", "wait for sinks", "present")
_DEPTH = 4096
_CLOSE_S = 5.0
_log = logging.getLogger(__name__)

Span = tuple[str, int, int]
"""Stage, begin and end in ``perf_counter_ns``."""


class Trace:
    """Writes on a thread of its own, at least once a second, so that a disk that is slow holds up no frame.

    Each line is one whole event: the format lets the closing bracket be absent, so that the file of a killed process
    can be read too. What the disk is too slow for is left out and counted; a disk that is full ends the trace alone.

    Args:
        path: written anew.

    Attributes:
        skipped: frames that are not in the file.

    Raises:
        SinkError: the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.skipped = 0
        self._queue: Queue[tuple[int, str, tuple[Span, ...]] | None] = Queue(_DEPTH)
        try:
            self._file = self.path.open("w", encoding="utf-8")
        except OSError as error:
            raise SinkError(f"cannot write {self.path}: {error.strerror or error}") from error
        self._thread = GuardedThread("trace", self._work, lambda error: self._skip_all())
        self._thread.start()

    def frame(self, sequence: int, fate: str, spans: Iterable[Span]) -> None:
        """Note one frame: its fate ("presented", "late", "raw", "dropped: why") and the stages it went through."""
        try:
            self._queue.put_nowait((sequence, fate, tuple(spans)))
        except Full:
            self.skipped += 1

    def close(self) -> None:
        """Write what waits, and the closing bracket. What a disk that hangs does not take is given up."""
        with suppress(Full):
            self._queue.put(None, timeout=_CLOSE_S)
        self._thread.join(_CLOSE_S)

    def _work(self) -> None:
        try:
            with self._file as file:
                file.write("[\n" + ",\n".join(map(json.dumps, _names())))
                while True:
                    item = self._queue.get()
                    if item is None:
                        break
                    file.writelines(",\n" + json.dumps(event) for event in _events(*item))
                    if self._queue.empty():
                        file.flush()
                file.write("\n]\n")
        except OSError as error:
            _log.warning("the trace ends: cannot write %s: %s", self.path, error.strerror or error)
            self._skip_all()

    def _skip_all(self) -> None:
        while self._queue.get() is not None:
            self.skipped += 1


def _names() -> list[dict[str, object]]:
    """What the viewer calls the process and its rows."""
    rows = [("thread_name", row, stage) for row, stage in enumerate(_STAGES, 1)]
    return [
        {"name": kind, "ph": "M", "pid": 1, "tid": row, "args": {"name": name}}
        for kind, row, name in [("process_name", 0, "edgerecon"), *rows]
    ]


def _events(sequence: int, fate: str, spans: Iterable[Span]) -> list[dict[str, object]]:
    arguments = {"frame": sequence, "fate": fate}
    return [
        {
            "name": stage,
            "cat": "frame",
            "ph": "X",
            "pid": 1,
            "tid": _STAGES.index(stage) + 1,
            "ts": begin / 1e3,
            "dur": max(0, end - begin) / 1e3,
            "args": arguments,
        }
        for stage, begin, end in spans
    ]

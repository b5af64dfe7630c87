"""Whether a candidate holds a deadline: the real loop at the real frame rate says so."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.frame import Frame, Image
from edgerecon.deploy.fit.candidates import Candidate
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.null import NullSink
from edgerecon.stream.sources.base import Capture
from edgerecon.stream.sources.still_frames import read_frames

PERIOD_S = 1 / 30
_ALLOWED = 0.01
"""Of all frames, so many may be late, dropped or failed while the p99 holds."""


def stream_p99(candidate: Candidate, frames: Sequence[NDArray[np.uint8]], deadline_ms: float, seconds: float) -> float:
    """p99 from capture to presentation in ms, streamed at 30 frames a second; infinite with more than 1 % of them lost.

    The stream ends as soon as so many frames are late or lost that the deadline is missed whatever comes; the p99 of
    what was streamed is above the deadline then.

    Raises:
        KeyboardInterrupt: after the stream has been closed.
    """
    stop = threading.Event()
    judge = _Judge(stop, at_most=int(_ALLOWED * seconds / PERIOD_S))
    with closing(candidate.open()) as engine:
        report = stream(_Cine(frames), engine, [judge], deadline_ms=deadline_ms, loop=True, seconds=seconds, stop=stop)
    if report.interrupted and not judge.over:  # the stream takes Ctrl-C for its own end; here it ends the search
        raise KeyboardInterrupt
    lost = report.dropped + report.failed + report.raw_shown  # reconstructed, they never came
    p99 = report.latency_ms["p99"]
    return p99 if p99 is not None and lost <= _ALLOWED * report.frames_in else math.inf


def sample_frames(shape: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """The built-in cine, resized to (height, width)."""
    return [cv2.resize(image, shape[::-1], interpolation=cv2.INTER_AREA) for image in read_frames()]  # type: ignore[misc]


class _Judge(NullSink):
    """Shows the frames to nobody, and ends the stream when too many were late or lost."""

    def __init__(self, stop: threading.Event, at_most: int) -> None:
        self._stop, self._at_most, self.over = stop, at_most, False

    def open(self, info: StreamInfo) -> None:
        self._counters = info.counters

    def present(self, before: Image, after: Frame, late: bool) -> None:
        seen = self._counters
        if max(seen.late + late, seen.dropped + seen.failed + seen.raw_shown) > self._at_most:
            self.over = True
            self._stop.set()


class _Cine:
    name = "sample"
    live = False
    period_s: float | None = PERIOD_S
    spacing_mm: tuple[float, float] | None = None

    def __init__(self, frames: Sequence[NDArray[np.uint8]]) -> None:
        self._frames = frames
        self.length: int | None = len(frames)

    def frames(self) -> Iterator[Capture]:
        return map(Capture, self._frames)

    def close(self) -> None: ...

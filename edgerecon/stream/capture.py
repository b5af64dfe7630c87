"""The capturing thread: takes frames from the source at their own pace."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgerecon.frame import MAX_PIXELS, RawImage
from edgerecon.stream.counters import Counters
from edgerecon.stream.ring import Mailbox, Slot
from edgerecon.stream.sources.base import Capture, Source


def play(source: Source, loop: bool) -> Iterator[tuple[Capture, bool]]:
    """Captures of a source, over and over when ``loop``; True beside the first of each pass."""
    while True:
        first = True
        for capture in source.frames():
            yield capture, first
            first = False
        if first or not loop:
            return


@dataclass
class Capturer:
    """Captures frame n at t0 + n · period, and each into a free slot.

    The next frame is fetched before it is due, as a probe has it ready; its capture time is when it was due and there.
    Waiting is a timed wait alone: spinning would hold the interpreter lock while the engine needs it, and an error of
    some 0.1 ms in when a frame is captured takes nothing from its deadline, which counts from the capture.

    Attributes:
        played: what ``play`` gives.
        period_s: time between captures, or None to capture as fast as the ring takes them.
        catch_up: whether a late source makes up for it by a burst (files) or loses the time (real time).
        frames, seconds: limits, or None.
        begin: set when the sinks are open. stop: set to end the stream.
        error: what the source raised, if it did. interrupted: whether ``stop`` ended the capture.
    """

    played: Iterator[tuple[Capture, bool]]
    slots: deque[Slot]
    outbox: Mailbox
    counters: Counters
    begin: threading.Event
    stop: threading.Event
    period_s: float | None
    catch_up: bool
    frames: int | None = None
    seconds: float | None = None
    error: Exception | None = None
    interrupted: bool = False
    started_ns: int = 0

    def run(self) -> None:
        try:
            self.begin.wait()
            self._capture_all()
        except Exception as error:  # noqa: BLE001 - a source may fail in any way; what was captured still counts
            self.error = error
        finally:
            self.outbox.close()

    def _capture_all(self) -> None:
        start = due = time.perf_counter()
        self.started_ns = time.perf_counter_ns()
        sequence = 0
        while self.frames is None or sequence < self.frames:
            asked_ns = time.perf_counter_ns()
            played = next(self.played, None)
            delivery_ns = time.perf_counter_ns() - asked_ns
            if played is None:
                return
            if self._stopped(due):
                self.interrupted = True
                return
            now = time.perf_counter()
            if self.seconds is not None and now - start >= self.seconds:
                return
            if self.period_s is not None:
                due = due + self.period_s if self.catch_up else max(due + self.period_s, now)
            self._capture(*played, sequence, delivery_ns)
            sequence += 1

    def _stopped(self, due: float) -> bool:
        if self.period_s is None:
            return self.stop.is_set()
        return self.stop.wait(max(0.0, due - time.perf_counter()))

    def _capture(self, capture: Capture, restart: bool, sequence: int, delivery_ns: int) -> None:
        captured_ns = time.perf_counter_ns()
        self.counters.captured()
        if capture.image is None:
            self.counters.fail(capture.fault or "the source gave no image")
            return
        slot = self.slots.popleft()
        try:
            _refuse_huge(capture.image)
            slot.hold(capture.image)
        except (ValueError, MemoryError) as error:
            self.slots.append(slot)
            self.counters.fail(f"unusable frame: {error}")
            return
        slot.sequence, slot.restart, slot.fault = sequence, restart, capture.fault
        slot.delivery_ns, slot.captured_ns = delivery_ns, captured_ns
        overtaken = self.outbox.put(slot)
        if overtaken is not None:
            self.counters.drop("engine", "overtaken by a newer frame while it waited")
            self.slots.append(overtaken)


def _refuse_huge(image: RawImage) -> None:
    shape = np.shape(image)
    if len(shape) >= 2 and shape[0] * shape[1] > MAX_PIXELS:
        raise ValueError(f"{shape[1]}×{shape[0]} pixels are more than {MAX_PIXELS:,}")

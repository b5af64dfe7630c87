"""The capturing thread: takes frames from the source at their own pace."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from time import perf_counter_ns, sleep

import numpy as np

from edgerecon.core.errors import UsageError, first_line
from edgerecon.core.frame import MAX_PIXELS, RawImage
from edgerecon.stream.loop.ring import Slot
from edgerecon.stream.loop.wires import Wires
from edgerecon.stream.sources.base import Capture, Source

_NAP_S = 0.05
_LONGEST_PAUSE_S = 60.0
_TIMES_BELOW_S = 2.0**32  # as Unix time 2106: what lies beyond is no time


def play(source: Source, loop: bool) -> Iterator[tuple[Capture, bool]]:
    """Captures of a source, over and over when ``loop``; True beside the first of each pass."""
    while True:
        first = True
        for capture in source.frames():
            yield _without_implausible_time(capture), first
            first = False
        if first or not loop:
            return


def _without_implausible_time(capture: Capture) -> Capture:
    stated = isinstance(capture, Capture) and capture.time_s is not None  # else a fault that is counted further on
    if stated and not abs(capture.time_s or 0.0) < _TIMES_BELOW_S:  # NaN too
        capture.time_s = None
    return capture


class RecordedClock:
    """A recording's own clock, made to go on: over its repetition, a frame without a time, and a clock that was set."""

    def __init__(self) -> None:
        self._last_s: float | None = None
        self._step_s = self._offset_s = 0.0

    def at(self, time_s: float | None, restart: bool) -> float | None:
        """The time of the next frame; None as long as no frame has had one."""
        if self._last_s is None:
            self._last_s = time_s
            return time_s
        if time_s is None:
            return self._go_on()
        shown_s = time_s + self._offset_s
        if restart or shown_s < self._last_s:
            self._offset_s = self._go_on() - time_s
            return self._last_s
        self._step_s, self._last_s = shown_s - self._last_s, shown_s
        return shown_s

    def _go_on(self) -> float:
        self._last_s = (self._last_s or 0.0) + self._step_s
        return self._last_s


@dataclass
class Capturer:
    """Captures frame n at t0 + n · period, or when the recording's own clock says, and each into a free slot.

    The next frame is fetched before it is due, as a probe has it ready; its capture time is when it was due and there.
    Frames of a live source are captured as they come. Waiting is a timed wait alone: spinning would hold the
    interpreter lock while the engine needs it, and an error of some 0.1 ms in when a frame is captured takes nothing
    from its deadline, which counts from the capture.

    Attributes:
        played: what ``play`` gives.
        period_s: time between captures; None to capture as frames come, or as fast as the ring takes them.
        live: whether waiting for a frame is waiting for its time; else the source takes that long to deliver it.
        catch_up: whether a late source makes up for it by a burst (files) or loses the time (real time).
        spacing_mm: of captures that state none.
        frames, seconds: limits, or None.
        warm_up: called with the first image before it is captured; None: nothing needs it.
        error: what the source raised, if it did. interrupted: whether ``stop`` ended the capture.
        started_ns: when the first frame could come, 0 before. waiting_ns: since when the source is waited for, or 0.
    """

    wires: Wires
    played: Iterator[tuple[Capture, bool]]
    period_s: float | None
    catch_up: bool
    live: bool
    spacing_mm: tuple[float, float] | None
    frames: int | None = None
    seconds: float | None = None
    warm_up: Callable[[Capture], None] | None = None
    error: BaseException | None = None
    interrupted: bool = False
    started_ns: int = 0
    waiting_ns: int = 0
    _asked_ns: int = 0
    _looked: threading.Event = field(default_factory=threading.Event)
    _has_first: bool = False
    _sequence: int = 0
    _last_ns: int = 0
    _spacing_mm: tuple[float, float] | None = None
    _clock_s: float | None = None
    _recorded: RecordedClock = field(default_factory=RecordedClock)

    def run(self) -> None:
        """Take frames until the source ends or the stream is over; the work of one thread."""
        self._asked_ns = perf_counter_ns()
        try:
            with suppress(UsageError):  # it was checked
                self.wires.scheduling.apply()
            if self._look_first():
                self.wires.begin.wait()
                self._capture_all()
        except BaseException as error:  # noqa: BLE001 - a source may fail in any way; what was captured still counts
            self.error = error
        finally:
            self.end()

    def wait_for_first_frame(self) -> bool:
        """Wait until a recording has given its first frame. Returns False if it has none."""
        self._looked.wait()
        return self._has_first

    def time_is_up(self) -> bool:
        """Whether the stream has lasted its ``seconds``, or has waited as long for a first frame."""
        begun_ns = self.started_ns or self._asked_ns
        return bool(begun_ns and self.seconds) and perf_counter_ns() - begun_ns >= self.seconds * 1e9  # type: ignore[operator]

    def end_if_stuck(self) -> None:
        """End the capture without the source, which still holds its thread although the stream is to end."""
        if self.waiting_ns:
            self.interrupted = self.wires.stop.is_set()
            self.wires.stop.set()  # should the source give a frame after all, it is not captured
            self.end()

    def end(self) -> None:
        """Let nobody wait for a frame any more."""
        self.waiting_ns = 0
        self.wires.over.set()
        self._looked.set()
        self.wires.captured.close()

    def _look_first(self) -> bool:
        """The first frame of a recording is there before the sinks are opened, and what needs its size is ready."""
        if not self.live:
            first = self._next()
            if first is None:
                return False
            self.played = chain([first], self.played)
            self._warm_up_for(first[0])
        self._has_first = True
        self._looked.set()
        return True

    def _next(self) -> tuple[Capture, bool] | None:
        self.waiting_ns = perf_counter_ns()
        played = next(self.played, None)
        self.waiting_ns = 0
        return played

    def _capture_all(self) -> None:
        due = perf_counter_ns()
        self.started_ns = due
        ends_ns = due + self.seconds * 1e9 if self.seconds else math.inf
        taken, now = 0, due
        while self.frames is None or taken < self.frames:
            asked_ns = perf_counter_ns()
            played = self._next()
            given_ns = perf_counter_ns()
            if played is None:
                self.interrupted = self.wires.stop.is_set()
                return
            if self.period_s is not None:
                due += self._step_ns(*played)
                due = due if self.catch_up else max(due, now)
                if taken and not self.live and given_ns > due:
                    self.wires.counters.delivered_late += 1
            if self._stopped(min(due, ends_ns)):
                self.interrupted = True
                return
            if self.time_is_up() or due >= ends_ns:
                return
            now = perf_counter_ns()
            self._capture(*played, delivery_ns=0 if self.live else given_ns - asked_ns)
            taken += 1

    def _step_ns(self, capture: Capture, restart: bool) -> int:
        """Time from the frame before: by the recording's clock, else one period; 0 for the first frame.

        A clock that jumps back, or by more than a minute, has been set: that counts as one period.
        """
        assert self.period_s is not None
        first, before_s = self._clock_s is None, self._clock_s or 0.0
        self._clock_s = before_s + self.period_s if capture.time_s is None else capture.time_s
        step_s = self._clock_s - before_s
        if restart or not -self.period_s <= step_s <= _LONGEST_PAUSE_S:
            step_s = self.period_s
        return 0 if first else round(max(step_s, 0.0) * 1e9)

    def _stopped(self, due_ns: float) -> bool:
        if self.period_s is None:
            return self.wires.stop.is_set()
        left_s = (due_ns - perf_counter_ns()) / 1e9
        if left_s > _NAP_S:
            return self.wires.stop.wait(left_s)
        if left_s > 0:
            sleep(left_s)  # a third of what a wait for an event costs, and it lets go of the interpreter at once
        return self.wires.stop.is_set()

    def _capture(self, capture: Capture, restart: bool, delivery_ns: int) -> None:
        self._warm_up_for(capture)
        self.wires.counters.captured()
        slot = self.wires.slots.pop()
        self.waiting_ns = perf_counter_ns()  # its pixels may lie in other memory than ours
        try:
            why = self._fill(slot, capture, restart)
        except BaseException as error:  # noqa: BLE001 - the fault of one frame, whatever its image does when it is read
            if not isinstance(error, Exception):
                self.wires.counters.record_error(f"a frame of the source raised {first_line(error)}")
            why = f"unusable frame: {first_line(error)}"
        self.waiting_ns = 0
        if why is not None:
            self.wires.slots.append(slot)
            self._fail(slot.sequence, why)
            return
        slot.delivery_ns = delivery_ns
        slot.taken_ns = slot.handed_ns = 0
        self.wires.hand_over(slot, self.wires.captured, "engine")

    def _fill(self, slot: Slot, capture: Capture, restart: bool) -> str | None:
        """Copy a capture into a slot. Returns why it cannot be used, or None."""
        slot.sequence, self._sequence = self._sequence, self._sequence + 1
        slot.captured_ns, slot.time_s = self._time_of(capture), self._recorded.at(capture.time_s, restart)
        if capture.gap:
            self.wires.counters.lost(capture.gap)
            slot.sequence += capture.gap
            self._sequence += capture.gap
        if capture.image is None:
            return capture.fault or "the source gave no image"
        refuse_huge(capture.image)
        slot.hold(capture.image, capture.colour)
        if capture.torn is not None and capture.torn():
            return "the writer changed it while it was copied"
        spacing_mm = self._shown_spacing(capture, slot.scale)
        slot.restart = restart or capture.gap > 0 or spacing_mm != self._spacing_mm
        slot.fault, slot.spacing_mm, self._spacing_mm = capture.fault, spacing_mm, spacing_mm
        slot.stages_ms = capture.stages_ms
        slot.pose = capture.pose and capture.pose.enlarged(slot.scale)
        return None

    def _warm_up_for(self, first: Capture) -> None:
        if self.warm_up is None:
            return
        with suppress(BaseException):  # what is wrong with it is met again when it is captured, and counted then
            if first.image is not None:
                warm_up, self.warm_up = self.warm_up, None
                warm_up(first)

    def _time_of(self, capture: Capture) -> int:
        """When the frame arrived; now, where the source's own time makes no sense."""
        now = perf_counter_ns()
        stamp = now if capture.captured_ns is None else capture.captured_ns
        if not self._last_ns <= stamp <= now:
            self.wires.counters.clock_faults += 1
            stamp = now
        self._last_ns = stamp
        return stamp

    def _fail(self, sequence: int, why: str) -> None:
        self.wires.counters.fail(why)
        if self.wires.trace is not None:
            self.wires.trace.frame(sequence, f"failed: {why}", [("capture", self._last_ns, self._last_ns)])

    def _shown_spacing(self, capture: Capture, scale: int) -> tuple[float, float] | None:
        spacing = capture.spacing_mm or self.spacing_mm
        if spacing is None or scale == 1:
            return spacing
        return spacing[0] / scale, spacing[1] / scale


def refuse_huge(image: RawImage) -> None:
    """Raises ValueError for more than ``MAX_PIXELS``."""
    shape = np.shape(image)
    if len(shape) >= 2 and shape[0] * shape[1] > MAX_PIXELS:
        raise ValueError(f"{shape[1]}×{shape[0]} pixels are more than {MAX_PIXELS:,}")

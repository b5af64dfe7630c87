"""The processing thread: raw capture → [0, 1] → engine → checked output, or the raw capture marked as such."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from time import monotonic, perf_counter_ns
from typing import Any

import cv2
import numpy as np

from edgerecon.core.errors import EdgereconError, UsageError, first_line
from edgerecon.core.frame import Image, Status, to_unit
from edgerecon.engines.base import Engine, takes_bytes
from edgerecon.stream.loop.ladder import Ladder, Rung
from edgerecon.stream.loop.replace import Replacer
from edgerecon.stream.loop.ring import Slot
from edgerecon.stream.loop.wires import Wires
from edgerecon.stream.process.guarded import GuardedThread

_log = logging.getLogger(__name__)
_LOGGED_AT_MOST = 32
_FAILURES_IN_A_ROW = 10


class Outcome(Enum):
    """What became of one frame in the processor."""

    RECONSTRUCTED = auto()
    RAW = auto()
    ABANDONED = auto()
    """The watchdog gave the call up: another thread goes on with a copy of the frame."""


@dataclass(slots=True)
class _Call:
    """The engine call that is under way."""

    slot: Slot
    rung: Rung
    engine: Engine
    began_s: float


@dataclass
class Processor:
    """Runs the ladder's engine on every slot that arrives. What cannot be processed is shown raw; nothing stops it.

    A call into a runtime cannot be ended from outside. When one takes longer than ``hang_s``, its thread is left to
    itself: another thread goes on with a copy of the frame, shown raw, and the replacer opens another engine.

    Attributes:
        hang_s: how long an engine may take for one frame.
    """

    wires: Wires
    ladder: Ladder
    replacer: Replacer
    hang_s: float
    _follows: tuple[Engine, int, tuple[int, ...]] | None = None
    _failures: int = 0
    _logged: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _call: _Call | None = None
    _done: threading.Event = field(default_factory=threading.Event)
    _failure: BaseException | None = None
    _worker: GuardedThread = field(init=False)

    def run(self) -> None:
        """Watch over the working thread until the inbox is closed and empty."""
        try:
            self._start(None)
            while not self._done.wait(min(self.hang_s / 4, 0.25)):
                if self._worker.vanished:
                    raise EdgereconError("its thread ended before it had begun")
                self.replacer.abandon_hung()
                hung = self._give_up_hung()
                if hung is not None:
                    self._start(self._copy_of(hung))
        finally:
            self.wires.captured.close()
            self.wires.processed.close()
            self.replacer.close()
        if self._failure is not None:
            raise self._failure

    def _start(self, slot: Slot | None) -> None:
        self._worker = GuardedThread("process", partial(self._work, slot), self._fail)
        self._worker.start()

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self._done.set()

    def _work(self, slot: Slot | None) -> None:
        with suppress(UsageError):  # it was checked
            self.wires.scheduling.apply()
        slot = slot or self.wires.captured.get()
        while slot is not None:
            try:
                if self._process(slot) is Outcome.ABANDONED:
                    return  # another thread has gone on
            except BaseException as error:  # noqa: BLE001 - whatever happens to one frame, the next one is processed
                self.wires.counters.fail(f"could not be processed: {first_line(error)}")
                self.wires.slots.append(slot)
            else:
                self.wires.hand_over(slot, self.wires.processed, "sinks")
            slot = self.wires.captured.get()
        self._done.set()

    def _process(self, slot: Slot) -> Outcome:
        """Make a slot ready to be shown. Once ABANDONED, it belongs to another thread."""
        slot.taken_ns = perf_counter_ns()
        trouble, why = slot.fault, "doubtful capture" if slot.fault else None
        try:
            to_unit(slot.raw, slot.unit)
        except ValueError as error:
            trouble, why = str(error), "unusable values"
            np.copyto(slot.unit, np.nan_to_num(slot.raw, nan=0.0, posinf=1.0, neginf=0.0), casting="same_kind")
            np.clip(slot.unit, 0.0, 1.0, out=slot.unit)
        slot.checked_ns = slot.inferred_ns = perf_counter_ns()
        slot.shown, slot.status, slot.raw_why, slot.after_ms = slot.unit, Status.OK, why, None
        slot.overlay = None
        rung = self.ladder.rung
        if why is None and rung.engine is not None:
            outcome, trouble = self._reconstruct(rung, rung.engine, slot)
            if outcome is Outcome.ABANDONED:
                return outcome
        elif why is None:
            slot.raw_why = rung.absent
        if slot.raw_why is not None:
            self._show_raw(slot, trouble)
        slot.processed_ns = perf_counter_ns()
        return Outcome.RAW if slot.raw_why is not None else Outcome.RECONSTRUCTED

    def _reconstruct(self, rung: Rung, engine: Engine, slot: Slot) -> tuple[Outcome, str | None]:
        """Run the engine, and put its output into ``slot.shown``. Returns why it cannot be shown, or None, beside."""
        follows, self._follows = self._follows, None
        call = self._call = _Call(slot, rung, engine, monotonic())
        failure: str | None = None
        result: Any = None
        try:
            if self.wires.reset.is_set() or slot.restart or follows != (engine, slot.sequence, slot.unit.shape):
                self.wires.reset.clear()
                engine.reset()  # temporal state of other frames would leave ghosts in this one
            result = _run(engine, slot)
        except BaseException as error:  # noqa: BLE001 - runtimes raise many kinds; the frame is shown raw
            failure = f"the engine failed: {first_line(error)}"
            if not isinstance(error, Exception):
                self.wires.counters.record_error(f"{rung.name} raised {first_line(error)}")
        if not self._finish_call(call):
            self.replacer.returned(rung, engine)  # without the lock: it may close the engine, which may hang
            return Outcome.ABANDONED, None
        slot.inferred_ns = perf_counter_ns()
        slot.after_ms, slot.overlay = getattr(engine, "stages_ms", None), getattr(engine, "overlay", None)
        slot.raw_why, trouble = _check(result, failure, slot)
        if slot.raw_why is None:
            if slot.colour is not None and slot.scale == 1:
                cv2.copyTo(slot.unit, slot.colour.where, slot.shown)
            self._follows, self._failures = (engine, slot.sequence + 1, slot.unit.shape), 0
        else:
            self._failures += 1
            if self._failures % _FAILURES_IN_A_ROW == 0:
                self.replacer.replace(rung, engine, slot.unit, still_in_use=False)
        return Outcome.RAW if slot.raw_why is not None else Outcome.RECONSTRUCTED, trouble

    def _finish_call(self, call: _Call) -> bool:
        """End a call that came back. Returns False when the watchdog has given it up."""
        with self._lock:
            if self._call is not call:
                return False
            self._call = None
        return True

    def _give_up_hung(self) -> Slot | None:
        """The slot of a call that has taken too long; the call's thread finds that it has been left to itself."""
        with self._lock:
            call = self._call
            if call is None or monotonic() - call.began_s < self.hang_s:
                return None
            self._call = None
            self.wires.counters.hung += 1
            _log.warning("%s has not answered for %.3g s: frames are shown raw", call.rung.name, self.hang_s)
            self.replacer.replace(call.rung, call.engine, call.slot.unit, still_in_use=True)
        return call.slot

    def _copy_of(self, slot: Slot) -> Slot | None:
        """The frame in buffers that no call writes to, and thereby a slot for the ring in place of the lost one."""
        try:
            return slot.duplicate()
        except MemoryError:
            self.wires.counters.fail("no memory for another copy of it")
            self.wires.slots.append(Slot(slot.scale))
            return None

    def _show_raw(self, slot: Slot, trouble: str | None) -> None:
        slot.status = Status.RAW
        if slot.scale != 1:
            slot.shown = slot.out
            cv2.resize(slot.unit, slot.out.shape[::-1], dst=slot.out, interpolation=cv2.INTER_LINEAR)
        if trouble and trouble not in self._logged and len(self._logged) < _LOGGED_AT_MOST:
            self._logged.add(trouble)
            _log.warning("frame %d is shown raw: %s", slot.sequence, trouble)


def _run(engine: Engine, slot: Slot) -> Image:
    """The engine's picture: by way of bytes where the capture holds them and the engine takes them."""
    if slot.raw.dtype == np.uint8 and slot.scale == 1 and takes_bytes(engine):
        engine.run_bytes(np.asarray(slot.raw, np.uint8), slot.levels)
        to_unit(slot.levels, slot.out)
        return slot.out
    return np.asarray(engine.run(slot.unit, slot.out), np.float32)


def _check(result: Any, failure: str | None, slot: Slot) -> tuple[str | None, str | None]:
    """Put what the engine gave into ``slot.shown``; else returns of what kind the fault is, and what it is."""
    if failure is not None:
        return "the engine failed", failure
    if result is not slot.out:
        if result.shape != slot.out.shape:
            return "wrong output shape", f"the engine gave {result.shape} instead of {slot.out.shape}"
        np.copyto(slot.out, result)
    low, high = slot.out.min(), slot.out.max()  # NaN and infinity reach them: no mask is allocated
    if not (np.isfinite(low) and np.isfinite(high)):
        return "unusable output", "the engine's output holds NaN or infinite values"
    if low < 0.0 or high > 1.0:
        np.clip(slot.out, 0.0, 1.0, out=slot.out)
    slot.shown = slot.out
    return None, None

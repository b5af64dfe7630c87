"""The presenting thread: hands finished frames to the sinks and keeps the statistics."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from math import inf
from time import monotonic, perf_counter_ns

from edgerecon.core.errors import EdgereconError, SinkError, UsageError, first_line
from edgerecon.core.frame import Frame, Status
from edgerecon.measure.histogram import Histogram
from edgerecon.stream.loop.fanout import CLOSE_S, CallAbandoned, Fanout
from edgerecon.stream.loop.ladder import Ladder
from edgerecon.stream.loop.ring import Slot
from edgerecon.stream.loop.wires import Wires
from edgerecon.stream.process.gc_guard import collect_garbage
from edgerecon.stream.process.guarded import GuardedThread
from edgerecon.stream.sinks.base import StreamInfo

_log = logging.getLogger(__name__)

STAGES = ("capture", "preprocess", "infer", "postprocess", "present")

_DARK_AT_MOST_NS = 500_000_000
_LOOK_EVERY_S = 0.1
_HUNG_S = 30.0
"""A sink that takes no frame for so long is given up: a disk that spins up may take some seconds."""


@dataclass
class Presenter:
    """Opens the sinks, presents every slot that arrives to each of them, and closes them.

    When the last sink is gone, capture is stopped and what is still in the ring is counted as dropped. A call of a sink
    that hangs cannot be ended from outside: its thread is left to itself, and another one goes on with the next sink.

    Attributes:
        first: waits for the first frame of a recording; False: there is none, and no sink is opened.
        skip_late: drop frames that are over their deadline when they arrive here, unless nothing has been shown for
            half a second: the screen never stands still without a word.
        mark_late: tell the sinks which frames were late; of a recording that is played as fast as it goes none is.
        open_error: why a sink could not be opened; nothing is then captured.
        latency: from capture until the last sink had the frame. stages: see ``StreamReport``.
    """

    wires: Wires
    fanout: Fanout
    info: StreamInfo
    ladder: Ladder
    first: Callable[[], bool]
    skip_late: bool = False
    mark_late: bool = True
    open_error: Exception | None = None
    latency: Histogram = field(default_factory=Histogram)
    stages: dict[str, Histogram] = field(default_factory=lambda: {stage: Histogram() for stage in STAGES})
    finished_ns: int = 0
    _dropped: int = 0
    _slot: Slot | None = None
    _counted: bool = False
    _done: threading.Event = field(default_factory=threading.Event)
    _failure: BaseException | None = None
    _worker: GuardedThread = field(init=False)

    def run(self) -> None:
        """Watch over the working thread until the inbox is closed and empty; then close the sinks."""
        over_s = inf
        try:
            self._start(self._open_and_work)
            while not self._done.wait(_LOOK_EVERY_S):
                if self._worker.vanished:
                    raise EdgereconError("its thread ended before it had begun")
                # a sink that hangs after the last frame is given up as soon as one that does not close
                over_s = min(over_s, monotonic()) if self.wires.over.is_set() else inf
                self._give_up_hung(_HUNG_S if monotonic() - over_s < CLOSE_S else CLOSE_S)
        finally:
            self.wires.begin.set()
            self.wires.processed.close()
            self.fanout.close()
        if self._failure is not None:
            raise self._failure

    def _start(self, work: Callable[[], None]) -> None:
        self._worker = GuardedThread("present", work, self._fail)
        self._worker.start()

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self._done.set()

    def _give_up_hung(self, after_s: float) -> None:
        why = self.fanout.abandon_hung(after_s)
        if why is None:
            return
        if not self.wires.begin.is_set():
            self.open_error = SinkError(why)
            self.wires.stop.set()
            self.wires.begin.set()
        hung, self._slot = self._slot, None
        if hung is not None:
            self.wires.slots.append(Slot(hung.scale))  # in place of the one that the call still reads
        self._start(partial(self._work, hung))

    def _open_and_work(self) -> None:
        with suppress(UsageError):  # it was checked
            self.wires.scheduling.apply()
        try:
            if self.first():
                self.fanout.open(self.info)
        except CallAbandoned:
            return
        except Exception as error:  # noqa: BLE001 - raised again by stream() in the caller's thread
            self.open_error = error
            self.wires.stop.set()
        self.wires.begin.set()
        self._work(None)

    def _work(self, hung: Slot | None) -> None:
        if hung is not None:
            with suppress(UsageError):
                self.wires.scheduling.apply()
        slot = hung or self.wires.processed.get()
        while slot is not None:
            self._counted = False
            self._slot = slot
            try:
                self._present(slot, again=slot is hung)
            except CallAbandoned:
                return
            except BaseException as error:  # noqa: BLE001 - whatever happens to one frame, the next one is presented
                self._account_for(error)
            self._slot = None
            if slot is not hung:
                self.wires.slots.append(slot)
            if self.wires.processed.empty:
                collect_garbage()
            slot = self.wires.processed.get()
        self._done.set()

    def _account_for(self, error: BaseException) -> None:
        _log.warning("a frame could not be presented: %s", first_line(error))
        if not self._counted:
            self.info.counters.fail(f"could not be presented: {first_line(error)}")

    def _present(self, slot: Slot, again: bool) -> None:
        counters, deadline_ns = self.info.counters, self.info.deadline_ms * 1e6
        if self.fanout.all_lost and not again:
            self._drop(slot, "sinks", "none was left")
            return
        if not again:
            slot.handed_ns = perf_counter_ns()
        late = slot.handed_ns - slot.captured_ns > deadline_ns
        if late and self.skip_late and not again and not self._dark(slot.handed_ns):
            self._drop(slot, "deadline", "over when the frame was ready")
            self._observe(slot, slot.handed_ns, late)
            return
        frame = Frame(
            slot.shown,
            slot.sequence,
            slot.captured_ns,
            slot.spacing_mm,
            slot.status,
            slot.pose,
            slot.time_s,
            slot.colour if slot.scale == 1 else None,
            slot.overlay,
        )
        present = self.fanout.resume if again else self.fanout.present
        if not present(slot.unit, frame, late and self.mark_late):
            if self.fanout.all_lost:
                self._counted = True
                counters.fail("the last sink failed on it")
                self.wires.stop.set()
            else:
                self._drop(slot, "sinks", "none is open at present")
            return
        self._record(slot)

    def _dark(self, now_ns: int) -> bool:
        """Whether nothing has been shown for half a second: too long to skip another frame."""
        return not self.finished_ns or now_ns - self.finished_ns >= _DARK_AT_MOST_NS

    def _drop(self, slot: Slot, by: str, why: str) -> None:
        self._counted = True
        self.wires.drop(slot, by, why)

    def _record(self, slot: Slot) -> None:
        self.finished_ns = finished_ns = perf_counter_ns()
        latency_ns = finished_ns - slot.captured_ns
        late = latency_ns > self.info.deadline_ms * 1e6
        raw = slot.status is Status.RAW
        self._counted = True
        self.info.counters.shown(latency_ns / 1e6, late=late, raw=slot.raw_why if raw else None)
        self.latency.record(latency_ns)
        self.stages["capture"].record(slot.delivery_ns + slot.taken_ns - slot.captured_ns)
        after_ms = {} if raw else slot.after_ms or {}
        for stage, spent_ms in [*(slot.stages_ms or {}).items(), *after_ms.items()]:
            self.stages.setdefault(stage, Histogram()).record(round(spent_ms * 1e6))
        self.stages["preprocess"].record(slot.checked_ns - slot.taken_ns)
        if not raw:
            self.stages["infer"].record(slot.inferred_ns - slot.checked_ns)
            self.stages["postprocess"].record(slot.processed_ns - slot.inferred_ns)
        self.stages["present"].record(finished_ns - slot.processed_ns)
        self._observe(slot, finished_ns, late)
        if self.wires.trace is not None:
            fate = f"raw: {slot.raw_why}" if raw else "late" if late else "presented"
            self.wires.trace.frame(slot.sequence, fate, slot.spans(finished_ns))

    def _observe(self, slot: Slot, end_ns: int, late: bool) -> None:
        """Tell the ladder of this frame and of those that were dropped before it."""
        dropped, self._dropped = self.info.counters.dropped - self._dropped, self.info.counters.dropped
        infer_ms = None if slot.status is Status.RAW else (slot.inferred_ns - slot.checked_ns) / 1e6
        rest_ms = (end_ns - slot.captured_ns) / 1e6 - (infer_ms or 0.0)
        skipped = self.skip_late and late and end_ns == slot.handed_ns  # among the dropped already
        self.ladder.observe(dropped + (late and not skipped), infer_ms, rest_ms, slot.raw.shape)

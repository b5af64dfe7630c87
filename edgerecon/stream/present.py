"""The presenting thread: hands finished frames to the sinks and keeps the statistics."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter_ns

from edgerecon.errors import UsageError
from edgerecon.frame import Frame, Status
from edgerecon.latency.histogram import Histogram
from edgerecon.stream.fanout import Fanout
from edgerecon.stream.interpreter import tidy
from edgerecon.stream.ladder import Ladder
from edgerecon.stream.priority import ORDINARY, Standing
from edgerecon.stream.ring import Mailbox, Slot
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.trace import Trace, lose

STAGES = ("capture", "preprocess", "infer", "postprocess", "present")

_DARK_AT_MOST_NS = 500_000_000


@dataclass
class Presenter:
    """Opens the sinks, presents every slot that arrives to each of them, and closes them.

    When the last sink is gone, capture is stopped and what is still in the ring is counted as dropped.

    Attributes:
        skip_late: drop frames that are over their deadline when they arrive here, unless nothing has been shown for
            half a second: the screen never stands still without a word.
        mark_late: tell the sinks which frames were late; of a recording that is played as fast as it goes none is.
        begin: set when the sinks are open (or could not be). stop: set to end capture.
        open_error: why a sink could not be opened; nothing is then captured.
        latency: from capture until the last sink had the frame. stages: see ``StreamReport``.
    """

    fanout: Fanout
    info: StreamInfo
    ladder: Ladder
    slots: deque[Slot]
    inbox: Mailbox
    begin: threading.Event
    stop: threading.Event
    skip_late: bool = False
    mark_late: bool = True
    trace: Trace | None = None
    standing: Standing = ORDINARY
    open_error: Exception | None = None
    latency: Histogram = field(default_factory=Histogram)
    stages: dict[str, Histogram] = field(default_factory=lambda: {stage: Histogram() for stage in STAGES})
    finished_ns: int = 0
    _dropped: int = 0

    def run(self) -> None:
        with suppress(UsageError):  # it was tried out
            self.standing.take()
        try:
            self.fanout.open(self.info)
        except Exception as error:  # noqa: BLE001 - raised again by stream() in the caller's thread
            self.open_error = error
            self.stop.set()
        self.begin.set()
        while (slot := self.inbox.get()) is not None:
            self._present(slot)
            self.slots.append(slot)
            if self.inbox.empty:
                tidy()
        self.fanout.close()

    def _present(self, slot: Slot) -> None:
        counters, deadline_ns = self.info.counters, self.info.deadline_ms * 1e6
        if self.fanout.all_lost:
            lose(slot, "sinks", "none was left", counters, self.trace)
            return
        slot.handed_ns = perf_counter_ns()
        late = slot.handed_ns - slot.captured_ns > deadline_ns
        if late and self.skip_late and slot.handed_ns - self.finished_ns < _DARK_AT_MOST_NS:
            lose(slot, "deadline", "over when the frame was ready", counters, self.trace)
            self._observe(slot, slot.handed_ns, late)
            return
        frame = Frame(slot.shown, slot.sequence, slot.captured_ns, slot.spacing_mm, slot.status, slot.pose)
        if not self.fanout.present(slot.unit, frame, late and self.mark_late):
            if self.fanout.all_lost:
                counters.fail("the last sink failed on it")
                self.stop.set()
            else:
                lose(slot, "sinks", "none is open at present", counters, self.trace)
            return
        self._record(slot)

    def _record(self, slot: Slot) -> None:
        self.finished_ns = finished_ns = perf_counter_ns()
        latency_ns = finished_ns - slot.captured_ns
        late = latency_ns > self.info.deadline_ms * 1e6
        raw = slot.status is Status.RAW
        self.info.counters.shown(latency_ns / 1e6, late=late, raw=slot.raw_why if raw else None)
        self.latency.record(latency_ns)
        self.stages["capture"].record(slot.delivery_ns + slot.taken_ns - slot.captured_ns)
        self.stages["preprocess"].record(slot.checked_ns - slot.taken_ns)
        if not raw:
            self.stages["infer"].record(slot.inferred_ns - slot.checked_ns)
            self.stages["postprocess"].record(slot.processed_ns - slot.inferred_ns)
        self.stages["present"].record(finished_ns - slot.processed_ns)
        self._observe(slot, finished_ns, late)
        if self.trace is not None:
            fate = f"raw: {slot.raw_why}" if raw else "late" if late else "presented"
            self.trace.frame(slot.sequence, fate, slot.spans(finished_ns))

    def _observe(self, slot: Slot, end_ns: int, late: bool) -> None:
        """Tell the ladder of this frame and of those that were dropped before it."""
        dropped, self._dropped = self.info.counters.dropped - self._dropped, self.info.counters.dropped
        infer_ms = None if slot.status is Status.RAW else (slot.inferred_ns - slot.checked_ns) / 1e6
        rest_ms = (end_ns - slot.captured_ns) / 1e6 - (infer_ms or 0.0)
        skipped = self.skip_late and late and end_ns == slot.handed_ns  # among the dropped already
        self.ladder.observe(dropped + (late and not skipped), infer_ms, rest_ms, slot.raw.shape)

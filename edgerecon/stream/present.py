"""The presenting thread: hands finished frames to the sinks and keeps the statistics."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter_ns

from edgerecon.errors import SinkError
from edgerecon.frame import Frame, Status
from edgerecon.latency.histogram import Histogram
from edgerecon.stream.ring import Mailbox, Slot
from edgerecon.stream.sinks.base import Sink, StreamInfo

STAGES = ("capture", "preprocess", "infer", "postprocess", "present")

_log = logging.getLogger(__name__)


@dataclass
class Presenter:
    """Opens the sinks, presents every slot that arrives to each of them, and closes them.

    A sink that raises is closed and left out from then on. When the last one is gone, capture is stopped and what is
    still in the ring is counted as dropped.

    Attributes:
        begin: set when the sinks are open (or could not be). stop: set to end capture.
        open_error: why a sink could not be opened; nothing is then captured.
        failures: one line for each sink that was lost or could not be finished.
        latency: from capture until the last sink had the frame. stages: see ``StreamReport``.
    """

    sinks: Sequence[Sink]
    info: StreamInfo
    slots: deque[Slot]
    inbox: Mailbox
    begin: threading.Event
    stop: threading.Event
    open_error: Exception | None = None
    failures: list[str] = field(default_factory=list)
    latency: Histogram = field(default_factory=Histogram)
    stages: dict[str, Histogram] = field(default_factory=lambda: {stage: Histogram() for stage in STAGES})
    finished_ns: int = 0
    _open: list[Sink] = field(default_factory=list)

    @property
    def all_lost(self) -> bool:
        """Whether there were sinks and every one of them failed."""
        return 0 < len(self.sinks) == len(self.failures)

    def run(self) -> None:
        try:
            for sink in self.sinks:
                self._open.append(sink)
                sink.open(self.info)
        except Exception as error:  # noqa: BLE001 - raised again by stream() in the caller's thread
            self.open_error = error
            self.stop.set()
        self.begin.set()
        while (slot := self.inbox.get()) is not None:
            self._present(slot)
            self.slots.append(slot)
        for sink in tuple(self._open):
            self._close(sink)

    def _present(self, slot: Slot) -> None:
        counters = self.info.counters
        if self.all_lost:
            counters.drop("sinks", "none was left")
            return
        handed_ns = perf_counter_ns()
        late = handed_ns - slot.captured_ns > self.info.deadline_ms * 1e6
        frame = Frame(slot.shown, slot.sequence, slot.captured_ns, self.info.spacing_mm, slot.status)
        for sink in tuple(self._open):
            try:
                sink.present(slot.unit, frame, late)
            except Exception as error:  # noqa: BLE001 - a broken sink must not end the stream for the others
                self._lose(sink, error)
        if self.all_lost:
            counters.fail("the last sink failed on it")
            self.stop.set()
            return
        self._record(slot)

    def _record(self, slot: Slot) -> None:
        self.finished_ns = perf_counter_ns()
        latency_ns = self.finished_ns - slot.captured_ns
        raw = slot.status is Status.RAW
        self.info.counters.shown(latency_ns / 1e6, late=latency_ns > self.info.deadline_ms * 1e6, raw=raw)
        self.latency.record(latency_ns)
        self.stages["capture"].record(slot.delivery_ns + slot.taken_ns - slot.captured_ns)
        self.stages["preprocess"].record(slot.checked_ns - slot.taken_ns)
        if not raw:
            self.stages["infer"].record(slot.inferred_ns - slot.checked_ns)
            self.stages["postprocess"].record(slot.processed_ns - slot.inferred_ns)
        self.stages["present"].record(self.finished_ns - slot.processed_ns)

    def _lose(self, sink: Sink, error: Exception) -> None:
        self._fail(sink, error)
        self._close(sink, after_failure=True)

    def _close(self, sink: Sink, after_failure: bool = False) -> None:
        self._open.remove(sink)
        try:
            sink.close()
        except Exception as error:  # noqa: BLE001 - the other sinks must still be closed
            if not after_failure:
                self._fail(sink, error)

    def _fail(self, sink: Sink, error: Exception) -> None:
        message = str(error) if isinstance(error, SinkError) else f"{sink.name} failed: {error}"
        self.failures.append(message)
        _log.warning("%s; the stream goes on without it", message)

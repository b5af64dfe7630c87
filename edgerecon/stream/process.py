"""The processing thread: raw capture → [0, 1] → engine → checked output, or the raw capture marked as such."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field
from time import perf_counter_ns

import cv2
import numpy as np

from edgerecon.engines.base import Engine
from edgerecon.frame import Status, to_unit
from edgerecon.stream.counters import Counters
from edgerecon.stream.ring import Mailbox, Slot

_log = logging.getLogger(__name__)
_LOGGED_AT_MOST = 32


@dataclass
class Processor:
    """Runs the engine on every slot that arrives. What cannot be processed is shown raw; it never stops the stream.

    Attributes:
        engine: None shows frames as they are.
    """

    engine: Engine | None
    slots: deque[Slot]
    inbox: Mailbox
    outbox: Mailbox
    counters: Counters
    _follows: tuple[int, tuple[int, ...]] | None = None
    _logged: set[str] = field(default_factory=set)

    def run(self) -> None:
        while (slot := self.inbox.get()) is not None:
            try:
                self._process(slot)
            except Exception as error:  # noqa: BLE001 - whatever happens to one frame, the next one is processed
                self.counters.fail(f"could not be processed: {error}")
                self.slots.append(slot)
                continue
            overtaken = self.outbox.put(slot)
            if overtaken is not None:
                self.counters.drop("sinks", "overtaken by a newer frame while it waited")
                self.slots.append(overtaken)
        self.outbox.close()

    def _process(self, slot: Slot) -> None:
        slot.taken_ns = perf_counter_ns()
        trouble = slot.fault
        try:
            to_unit(slot.raw, slot.unit)
        except ValueError as error:
            trouble = str(error)
            np.copyto(slot.unit, np.nan_to_num(slot.raw, nan=0.0, posinf=1.0, neginf=0.0), casting="same_kind")
            np.clip(slot.unit, 0.0, 1.0, out=slot.unit)
        slot.checked_ns = slot.inferred_ns = perf_counter_ns()
        slot.shown, slot.status = slot.unit, Status.OK
        if self.engine is not None:
            trouble = trouble or self._reconstruct(self.engine, slot)
        if trouble:
            self._show_raw(slot, trouble)
        slot.processed_ns = perf_counter_ns()

    def _reconstruct(self, engine: Engine, slot: Slot) -> str | None:
        """Returns why the engine's output cannot be shown, or None when it is in ``slot.shown``."""
        follows, self._follows = self._follows, None
        try:
            if slot.restart or follows != (slot.sequence, slot.unit.shape):
                engine.reset()  # temporal state of other frames would leave ghosts in this one
            result = engine.run(slot.unit, slot.out)
        except Exception as error:  # noqa: BLE001 - runtimes raise many kinds; the frame is shown raw
            return f"the engine failed: {error}"
        slot.inferred_ns = perf_counter_ns()
        if result is not slot.out:
            if np.shape(result) != slot.out.shape:
                return f"the engine gave {np.shape(result)} instead of {slot.out.shape}"
            np.copyto(slot.out, result, casting="same_kind")
        low, high = slot.out.min(), slot.out.max()  # NaN and infinity reach them: no mask is allocated
        if not (np.isfinite(low) and np.isfinite(high)):
            return "the engine's output holds NaN or infinite values"
        if low < 0.0 or high > 1.0:
            np.clip(slot.out, 0.0, 1.0, out=slot.out)
        slot.shown = slot.out
        self._follows = (slot.sequence + 1, slot.unit.shape)
        return None

    def _show_raw(self, slot: Slot, trouble: str) -> None:
        slot.status = Status.RAW
        if slot.scale != 1:
            slot.shown = slot.out
            cv2.resize(slot.unit, slot.out.shape[::-1], dst=slot.out, interpolation=cv2.INTER_LINEAR)
        if trouble not in self._logged and len(self._logged) < _LOGGED_AT_MOST:
            self._logged.add(trouble)
            _log.warning("frame %d is shown raw: %s", slot.sequence, trouble)

"""What the threads of one stream share."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from time import perf_counter_ns

from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.loop.ring import Mailbox, Slot
from edgerecon.stream.loop.trace import Trace
from edgerecon.stream.process.scheduling import ORDINARY, Scheduling


@dataclass
class Wires:
    """The slots of one stream, the mailboxes that they travel through, and what its threads tell one another.

    Attributes:
        slots: those that are free.
        captured: from the capturer to the processor. processed: from the processor to the presenter.
        counters: of the frames. trace: None writes none. scheduling: of the threads.
        begin: set when the sinks are open, or could not be. stop: set to end the capture.
        over: set when no frame comes any more. ended: set when the last thread has ended.
        reset: set to make temporal models start anew; cleared when that is done.
    """

    slots: deque[Slot]
    captured: Mailbox
    processed: Mailbox
    counters: Counters = field(default_factory=Counters)
    trace: Trace | None = None
    scheduling: Scheduling = ORDINARY
    begin: threading.Event = field(default_factory=threading.Event)
    stop: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    reset: threading.Event = field(default_factory=threading.Event)

    def hand_over(self, slot: Slot, mailbox: Mailbox, to: str) -> None:
        """Leave a slot for the next thread; the one that is dropped by it is counted and free again."""
        dropped = mailbox.put(slot)
        if dropped is not None:
            why = "nobody took it any more" if dropped is slot else "overtaken by a newer frame while it waited"
            self.drop(dropped, to, why)
            self.slots.append(dropped)

    def give_up(self) -> None:
        """End the stream because a stage has failed: nobody waits any more for what it would have handed over."""
        self.stop.set()
        self.begin.set()
        self.captured.close()
        self.processed.close()

    def drop(self, slot: Slot, by: str, why: str) -> None:
        """Count a frame as dropped, and trace how far it came."""
        self.counters.drop(by, why)
        if self.trace is not None:
            self.trace.frame(slot.sequence, f"dropped: {why}", slot.spans(perf_counter_ns()))

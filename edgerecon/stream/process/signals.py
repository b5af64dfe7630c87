"""Signals of a service: SIGTERM ends the stream in order, SIGHUP makes temporal models start anew."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from edgerecon.stream.process.systemd import notify


@contextmanager
def signals_that_stop(stop: threading.Event, reset: threading.Event) -> Iterator[threading.Event]:
    """For the main thread, around ``stream``. Gives an event that says whether SIGTERM ended it.

    A second SIGTERM ends the process at once.
    """
    terminated = threading.Event()

    def end() -> None:
        terminated.set()
        stop.set()
        notify("STOPPING=1")

    # Events are set by other threads: the one that a signal interrupts may hold their lock.
    def terminate(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        threading.Thread(target=end).start()

    def start_anew(number: int, frame: FrameType | None) -> None:
        threading.Thread(target=reset.set).start()

    handlers = {signal.SIGTERM: terminate}
    if hasattr(signal, "SIGHUP"):
        handlers[signal.SIGHUP] = start_anew
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield terminated
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

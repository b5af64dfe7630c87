"""Ctrl-C while a network trains: the step at hand is finished first, so that what is saved is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def interrupt_between_steps(at_once: bool = True) -> Iterator[Callable[[], bool]]:
    """Hold the first Ctrl-C back until a step is whole.

    Args:
        at_once: a second one goes through. Not so under torchrun, which passes on what the terminal has sent already.
    """
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return

    def hold(signum: int, frame: Any) -> None:
        if pressed.is_set() and at_once:
            raise KeyboardInterrupt
        pressed.set()

    previous = signal.signal(signal.SIGINT, hold)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, previous)

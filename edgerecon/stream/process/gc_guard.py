"""What streaming asks of the Python process: threads that change over quickly, and no garbage collection in the loop.

Both belong to the process, not to one stream: the first stream of several sets them, the last one puts them back.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SWITCH_INTERVAL_S = 1e-4

_COLLECT_AT = 2_000
"""Objects that may be garbage before it is looked for: 0.3 ms of work, done after a frame has been shown."""

_lock = threading.Lock()
_streams = 0
_before: tuple[float, bool] = (0.0, False)


@contextmanager
def collecting_between_frames() -> Iterator[None]:
    """Turn automatic garbage collections off: ``collect_garbage`` makes them when no frame waits.

    What was loaded so far is left out of them. Threads change over every ``SWITCH_INTERVAL_S`` meanwhile.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def collect_garbage() -> None:
    """Collect garbage if enough may have gathered. Call it when a frame has been shown and none waits."""
    if gc.get_count()[0] > _COLLECT_AT and not gc.isenabled():
        gc.collect()


def _enter() -> None:
    global _streams, _before
    with _lock:
        _streams += 1
        if _streams > 1:
            return
        _before = sys.getswitchinterval(), gc.isenabled()
        sys.setswitchinterval(min(_before[0], SWITCH_INTERVAL_S))
        gc.collect()
        gc.freeze()
        gc.disable()


def _leave() -> None:
    global _streams
    with _lock:
        _streams -= 1
        if _streams:
            return
        interval, enabled = _before
        gc.unfreeze()
        if enabled:
            gc.enable()
        sys.setswitchinterval(interval)

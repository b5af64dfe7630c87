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
def settled_interpreter() -> Iterator[None]:
    """Keep automatic garbage collections off, and what was loaded so far out of those that ``tidy`` makes."""
    _enter()
    try:
        yield
    finally:
        _leave()


def tidy() -> None:
    """Collect garbage when enough may have gathered. For the moment when a frame has been shown and none waits."""
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

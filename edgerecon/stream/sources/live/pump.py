"""Lets a reader that blocks (a camera, a network stream) run on a thread of its own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from time import perf_counter_ns

from edgerecon.stream.sources.base import Capture

_WAITING_AT_MOST = 4
_WAKE_S = 0.2


def pump(captures: Iterator[Capture], closed: threading.Event) -> Iterator[Capture]:
    """The captures of a blocking iterator, as they come; ends soon after ``closed`` is set, whatever the iterator does.

    When nobody asks for them, the newest few are kept, and the others are in the next one's gap. The iterator is left
    on its thread, and should end when ``closed`` is set. What it raises is raised here.
    """
    box: deque[Capture] = deque()
    arrived = threading.Condition()
    over = False
    error: BaseException | None = None

    def work() -> None:
        nonlocal over, error
        try:
            for capture in captures:
                if capture.captured_ns is None:
                    capture.captured_ns = perf_counter_ns()
                with arrived:
                    box.append(capture)
                    if len(box) > _WAITING_AT_MOST:
                        lost = box.popleft()
                        box[0].gap += lost.gap + 1
                    arrived.notify()
                if closed.is_set():
                    return
        except BaseException as caught:  # noqa: BLE001 - raised again in the thread that asks for captures
            error = caught
        finally:
            with arrived:
                over = True
                arrived.notify()

    threading.Thread(target=work, name="live source", daemon=True).start()
    while not closed.is_set():
        with arrived:
            if not box and not over:
                arrived.wait(_WAKE_S)
            capture = box.popleft() if box else None
        if capture is not None:
            yield capture
        elif over:
            if error is not None:
                raise error
            return

"""Lets a reader that blocks (a camera, a network stream) run on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from edgerecon.stream.sources.base import Capture
from edgerecon.stream.sources.live.inbox import Inbox

_WAKE_S = 0.2


def pump(captures: Iterator[Capture], closed: threading.Event) -> Iterator[Capture]:
    """The captures of a blocking iterator, as they come; ends soon after ``closed`` is set, whatever the iterator does.

    When nobody asks for them, the newest few are kept, and the others are in the next one's gap. The iterator is left
    on its thread, and should end when ``closed`` is set. What it raises is raised here.
    """
    inbox = Inbox()

    def work() -> None:
        try:
            for capture in captures:
                inbox.put(capture)
                if closed.is_set():
                    break
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that asks for captures
            inbox.end(error)
        else:
            inbox.end()

    threading.Thread(target=work, name="live source", daemon=True).start()
    while not closed.is_set() and not inbox.over:
        capture = inbox.take(_WAKE_S)
        if capture is not None:
            yield capture

"""Processes that simulate beside this one, and leave Ctrl-C to it."""

from __future__ import annotations

import signal
import threading
from multiprocessing import forkserver, get_context
from multiprocessing.context import ForkServerContext


def deaf_processes() -> ForkServerContext:
    """A context whose processes ignore SIGINT from their first instruction.

    A terminal sends Ctrl-C to every process. One that dies of it while it still imports breaks the pool, which then
    raises in threads of its own; an initializer comes too late for that. What the server of the forks ignores when it
    starts, they ignore.
    """
    if threading.current_thread() is threading.main_thread():
        heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            forkserver.ensure_running()
        finally:
            signal.signal(signal.SIGINT, heard)
    return get_context("forkserver")

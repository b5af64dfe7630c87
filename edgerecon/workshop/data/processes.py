"""Processes that simulate beside this one, and leave Ctrl-C to it."""

from __future__ import annotations

import signal
import sys
import threading
from multiprocessing import forkserver, get_context
from multiprocessing.context import BaseContext


def processes_without_interrupts() -> BaseContext:
    """A context whose processes ignore SIGINT from their first instruction.

    A terminal sends Ctrl-C to every process. One that dies of it while it still imports breaks the pool, which then
    raises in threads of its own; an initializer comes too late for that. What the server of the forks ignores when it
    starts, they ignore. Windows forks nothing: processes there hear Ctrl-C.
    """
    if sys.platform == "win32":
        return get_context("spawn")
    if threading.current_thread() is threading.main_thread():
        heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            forkserver.ensure_running()
        finally:
            signal.signal(signal.SIGINT, heard)
    return get_context("forkserver")

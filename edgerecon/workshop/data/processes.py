"""Worker processes that simulate beside this one: Ctrl-C is left to this one, and no script is run a second time."""

from __future__ import annotations

import signal
import sys
import threading
import types
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver, get_context
from multiprocessing.context import BaseContext
from typing import Any

from edgerecon.core.errors import EdgereconError


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes for functions of this package; what ``__main__`` defines is unknown to them.

    A script may use it with or without ``if __name__ == "__main__"``.

    Args:
        workers: number of processes, at least 1.

    Raises:
        EdgereconError: a process was killed, or ended for want of memory, before its work was done.
    """
    try:
        with ProcessPoolExecutor(workers, processes_without_interrupts()) as pool:
            yield pool
    except BrokenProcessPool:
        raise EdgereconError(
            f"one of {workers} worker processes was killed before its work was done: free memory, then run again"
        ) from None


def processes_without_interrupts() -> BaseContext:
    """A context whose processes ignore SIGINT from their first instruction, and do not import ``__main__``.

    A terminal sends Ctrl-C to every process. One that dies of it while it still imports breaks the pool, which then
    raises in threads of its own; an initializer comes too late for that. What the server of the forks ignores when it
    starts, they ignore. Windows forks nothing: processes there hear Ctrl-C.
    """
    if sys.platform != "win32" and threading.current_thread() is threading.main_thread():
        heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with _empty_main():
                forkserver.ensure_running()
        finally:
            signal.signal(signal.SIGINT, heard)
    made: BaseContext = _Context()
    return made


_base: Any = get_context("spawn" if sys.platform == "win32" else "forkserver")


class _Process(_base.Process):
    """A process that begins without the path of the script that is running."""

    @staticmethod
    def _Popen(process: Any) -> Any:
        with _empty_main():
            return _base.Process._Popen(process)


class _Context(type(_base)):  # type: ignore[misc]
    Process = _Process


@contextmanager
def _empty_main() -> Iterator[None]:
    """``__main__`` without a path. A process is told the path of its parent's script, and runs that from the top: a
    script that starts processes at its top level would start them again in each."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script

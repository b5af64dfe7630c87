"""All streams in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edgerecon.stream.serve.config import StreamTable
from edgerecon.stream.serve.share import SharedEngines
from edgerecon.stream.serve.supervisor import Make
from edgerecon.stream.serve.worker import Worker, threads_each


@contextmanager
def here() -> Iterator[Make]:
    """Starts streams in this process, with engines that they share where the runtime allows."""
    engines = SharedEngines()

    def start(table: StreamTable, beside: int, wait_for: Callable[[], None]) -> Worker:
        return Worker(table, threads_each(beside), engines.open, wait_for)

    try:
        yield start
    finally:
        engines.close()

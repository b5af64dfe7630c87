"""All streams in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from edgerecon.stream.serve.config import StreamTable
from edgerecon.stream.serve.pages import Pages
from edgerecon.stream.serve.shared_engines import SharedEngines
from edgerecon.stream.serve.worker import Worker, threads_each


class Here:
    """Starts streams in this process; ``expect`` says which there are to be, for the pages that show them."""

    def __init__(self, engines: SharedEngines, pages: Pages) -> None:
        self._engines, self._pages = engines, pages
        self.expect = pages.expect

    def __call__(self, table: StreamTable, beside: int, wait_for: Callable[[], None]) -> Worker:
        return Worker(table, threads_each(beside), self._engines.open, wait_for, self._pages)


@contextmanager
def start_locally() -> Iterator[Here]:
    """Streams with engines that they share where the runtime allows."""
    with closing(SharedEngines()) as engines, closing(Pages()) as pages:
        yield Here(engines, pages)

"""Threads of a stream: whatever one of them ends by is kept and told, so that nobody waits for its work for ever."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from edgerecon.core.errors import EdgereconError, first_line

_log = logging.getLogger(__name__)


class GuardedThread(threading.Thread):
    """A daemon thread that keeps the exception it ended by.

    Every kind counts: ``SystemExit``, ``KeyboardInterrupt`` and the panic of a native library would else end a thread
    without a word.

    Args:
        name: of the thread, for messages. work: what it does.
        on_failure: called in this thread with what ``work`` raised, to say it and to cut off those who wait for its
            work. None: it is logged.

    Attributes:
        failure: what ``work`` raised; None while it runs, and when it ended in good order.
    """

    def __init__(
        self, name: str, work: Callable[[], None], on_failure: Callable[[BaseException], None] | None = None
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.failure: BaseException | None = None
        self._told = False
        self._work, self._on_failure = work, on_failure

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - the edge of a thread: who waits for it is told
            self.failure = error
            self._tell(error)
        self._told = True

    @property
    def vanished(self) -> bool:
        """Whether it has ended and nobody was told: what a tracer raises in a thread's first line is caught by none."""
        return self.ident is not None and not self.is_alive() and not self._told

    def check(self, kind: type[EdgereconError]) -> None:
        """Raises ``kind`` when the thread has failed: an error of that kind as it is, others on one line."""
        if isinstance(self.failure, kind):
            raise self.failure
        if self.failure is not None:
            raise kind(f"the thread '{self.name}' failed: {first_line(self.failure)}") from self.failure

    def _tell(self, error: BaseException) -> None:
        if self._on_failure is None:
            _log.warning("the thread '%s' failed: %s", self.name, first_line(error))
            return
        try:
            self._on_failure(error)
        except BaseException as again:  # noqa: BLE001 - nothing stands above this thread
            _log.warning("the thread '%s' failed once more: %s", self.name, first_line(again))

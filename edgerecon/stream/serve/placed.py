"""Streams on the machines of a Ray cluster: placed by what they need, started again elsewhere when a machine is lost.

Each machine needs edgerecon of the same version, and models, files and devices under the same names. What travels is
plain: a table of the configuration there, counters and reports back.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from math import inf
from time import monotonic, sleep
from typing import Any

from edgerecon.core import __version__
from edgerecon.core.cluster import connected
from edgerecon.core.errors import EdgereconError
from edgerecon.stream.process.backoff import Backoff
from edgerecon.stream.serve.config import StreamTable
from edgerecon.stream.serve.ledger import Look, Tally
from edgerecon.stream.serve.supervisor import Make
from edgerecon.stream.serve.worker import Worker

LOOK_EVERY_S = 0.25
"""Between two reports of a stream to us: what it counted after the last one is not known when its machine is lost."""

_STILLBORN_AT_MOST = 5
"""Lives in a row that ended before they were heard of; some may, while Ray does not know that a machine is lost."""
_WAIT_S, _WAIT_AT_MOST_S = 0.5, 30.0
_SAY_PENDING_S = 10.0
_SILENT_AT_MOST_S = 30.0
"""A stream that cannot be reached for longer is taken for lost, whatever the cluster thinks."""

_log = logging.getLogger(__name__)


@contextmanager
def start_on_cluster(address: str) -> Iterator[Make]:
    """Starts streams on the cluster at an address. Raises as ``edgerecon.core.cluster.spread_over`` does."""
    with connected(address) as ray:

        def start(table: StreamTable, beside: int, wait_for: Callable[[], None]) -> Placed:
            return Placed(ray, table, wait_for)

        yield start


class _Host:
    """The actor: one stream in a process of its own."""

    def __init__(self, version: str, table: dict[str, Any]) -> None:
        import ray

        wanted = StreamTable(**table)
        self._place = f"{socket.gethostname()} {ray.get_runtime_context().get_node_id()[:8]}"
        self._worker = Worker(wanted, max(1, int(wanted.cpus))) if version == __version__ else None
        self._refusal = f"{self._place} has edgerecon {__version__}, not {version}: install the same"

    def look(self) -> dict[str, Any]:
        look = self._worker.look() if self._worker else Look("failed", self._refusal)
        return replace(look, place=self._place).to_plain()

    def stop(self) -> None:
        if self._worker:
            self._worker.stop()


class Placed:
    """One stream on some machine, followed by a thread here, which keeps its account over all its lives."""

    def __init__(self, ray: Any, table: StreamTable, wait_for: Callable[[], None] = lambda: None) -> None:
        self.table = table
        self._ray = ray
        self._wait_for = wait_for
        self._stop, self._ended = threading.Event(), threading.Event()
        self._account = (Tally(), 1, Look())  # of the past lives, how many there were, and of this one: one assignment
        self._begun: float | None = None
        threading.Thread(target=self._run, name=f"follow {table.name}", daemon=True).start()

    def stop(self) -> None:
        """See ``Running.stop``."""
        self._stop.set()

    def wait(self, timeout_s: float) -> bool:
        """See ``Running.wait``."""
        return self._ended.wait(timeout_s)

    def look(self) -> Look:
        """See ``Running.look``."""
        past, lives, now = self._account
        over = now.has_ended and self._ended.is_set()
        state = now.state if over or not now.has_ended else "running"  # not over before this thread is
        return replace(now, state=state, tally=past + now.tally, lives=lives, stopped=self._stop.is_set())

    @property
    def _now(self) -> Look:
        return self._account[2]

    @_now.setter
    def _now(self, look: Look) -> None:
        self._account = (*self._account[:2], look)

    def _run(self) -> None:
        try:
            self._wait_for()
            self._live()
            if not self._now.has_ended:
                self._now = replace(self._now, state="ended", tally=self._now.tally.closed())
        except BaseException as error:  # noqa: BLE001 - the fault of one stream is not that of the others
            reason = str(error) if isinstance(error, EdgereconError) else f"{type(error).__name__}: {_last_line(error)}"
            self._now = replace(self._now, state="failed", error=reason, tally=self._now.tally.closed())
        if self._now.error:
            _log.error("stream '%s' failed: %s", self.table.name, self._now.error)
        self._ended.set()

    def _live(self) -> None:
        """One life after the other, until the stream is over."""
        stillborn, backoff = 0, Backoff(self._stop, _WAIT_S, _WAIT_AT_MOST_S)
        while not self._stop.is_set():
            actor = self._place()
            try:
                self._follow(actor)
                return
            except self._ray.exceptions.RayActorError as error:
                stillborn = stillborn + 1 if self._now.state == "starting" else 0
                if not stillborn:
                    backoff.reset()
                if stillborn >= _STILLBORN_AT_MOST:
                    raise EdgereconError(f"it dies as soon as it is started: {_last_line(error)}") from None
                self._bury()
            finally:
                with suppress(Exception):  # it may be unreachable but alive: two of one stream must not be
                    self._ray.kill(actor)
            backoff.wait()

    def _place(self) -> Any:
        table = self.table
        host = self._ray.remote(_Host).options(
            num_cpus=table.cpus, num_gpus=table.gpus, max_restarts=0, scheduling_strategy="SPREAD"
        )
        return host.remote(__version__, self._rest().model_dump())

    def _follow(self, actor: Any) -> None:
        """Look at the stream until it is over."""
        asked, heard, told = monotonic(), monotonic(), False
        answer = actor.look.remote()
        while True:
            ready, _ = self._ray.wait([answer], timeout=LOOK_EVERY_S)
            if self._stop.is_set() and not told:
                if self._now.state == "starting":
                    return  # it may never find a place
                actor.stop.remote()
                told = True
            if not ready:
                asked = self._log_pending(asked)
                continue
            try:
                self._now, heard = Look.from_plain(self._ray.get(answer)), monotonic()
            except self._ray.exceptions.ActorUnavailableError:  # the cluster does not know yet whether it is dead
                if monotonic() - heard > _SILENT_AT_MOST_S:
                    raise
            if self._now.has_ended:
                return
            self._begun = self._begun or monotonic()
            sleep(LOOK_EVERY_S)
            answer = actor.look.remote()

    def _log_pending(self, asked: float) -> float:
        """Once. ``asked``: since when it waits; returns the next such time."""
        if self._now.state != "starting" or monotonic() - asked < _SAY_PENDING_S:
            return asked
        _log.warning(
            "stream '%s' waits for a machine with %g CPUs and %g GPUs free",
            self.table.name,
            self.table.cpus,
            self.table.gpus,
        )
        return inf

    def _bury(self) -> None:
        """What the lost life counted up to its last report stays; what was on its way then is lost."""
        past, lives, now = self._account
        _log.error(
            "stream '%s' was lost with its machine%s, %d frames on their way: it starts again elsewhere",
            self.table.name,
            f" {now.place}" if now.place else "",
            now.tally.in_flight,
        )
        self._account = (past + now.tally.closed(), lives + 1, Look())

    def _rest(self) -> StreamTable:
        """The table for what remains of the stream's limits."""
        frames, seconds = self.table.frames, self.table.seconds
        if frames is not None:
            frames = max(1, frames - self._account[0].frames_in)
        if seconds is not None and self._begun is not None:
            seconds = max(0.001, seconds - (monotonic() - self._begun))
        return self.table.model_copy(update={"frames": frames, "seconds": seconds})


def _last_line(error: BaseException) -> str:
    """What was raised, of a traceback that came from afar."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()

"""A web server on a thread of its own, shared by all sinks of this process that name the same address."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import ClassVar, TypeVar

import uvicorn
from starlette.types import ASGIApp

from edgerecon.core.errors import SinkError, UsageError, first_line
from edgerecon.stream.process.guarded import GuardedThread
from edgerecon.stream.process.scheduling import lower_priority
from edgerecon.stream.sinks.web.access import access
from edgerecon.stream.sinks.web.address import Address, listen
from edgerecon.stream.sinks.web.connection_limits import MAX_HEAD, Http, LimitedListener

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_sites: dict[tuple[str, int], Site] = {}
_SiteKind = TypeVar("_SiteKind", bound="Site")


class Site(ABC):
    """Serves from when the first sink starts it until the last one leaves. Subclasses say what, in ``app``.

    The address is taken at once, so that a busy port is reported before a stream starts.

    Attributes:
        planned: name → state ("starting", "waiting", "running", "failed", "ended") of the streams that there are to be;
            None where nobody plans them.

    Raises:
        SinkError: the port is taken or may not be used; the certificate cannot be used.
        UsageError: the port is not one; or it is served already, but otherwise.
    """

    kind: ClassVar[str]

    def __init__(self, address: Address) -> None:
        self.rules = access(address)
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        self._listener = LimitedListener(family, socket.SOCK_STREAM)
        listen(address, self.kind, self._listener)
        self.port: int = self._listener.getsockname()[1]
        self.url = self.rules.url(self.port)
        self.loop: asyncio.AbstractEventLoop
        self._address = address
        self._users = 1
        self.planned: dict[str, str] | None = None
        self._thread: GuardedThread | None = None
        self._running = threading.Event()
        if not address.is_loopback and not address.certificate:
            _log.warning(
                "%s is open to the network without TLS: whoever listens there sees the token and the stream", self.url
            )

    @classmethod
    def join(cls: type[_SiteKind], address: Address) -> _SiteKind:
        """The site of this process at an address: that of an earlier sink, or a new one."""
        with _lock:
            site = _sites.get((address.host, address.port))
            if site is None:
                site = cls(address)
                _sites[(address.host, site.port)] = site
                return site
            tls = (address.certificate, address.key)
            if not isinstance(site, cls) or tls != (site._address.certificate, site._address.key):
                raise UsageError(
                    f"port {address.port} serves the {site.kind} already, with its own options: choose another"
                )
            site._users += 1
            return site

    def plan(self, states: Mapping[str, str]) -> None:
        """Say which streams there are to be, in their order, and how each stands; call it again with every change.

        Without a plan the streams are those whose sinks are open.
        """
        self.planned = dict(states)

    def in_order(self, running: Iterable[str]) -> list[str]:
        """The planned streams, then running ones that are in no plan."""
        return list(dict.fromkeys([*(self.planned or ()), *running]))

    @abstractmethod
    def app(self) -> ASGIApp:
        """The ASGI application with its guard."""

    def start(self) -> None:
        """Serve, unless it does already; returns once the server runs. Raises SinkError when it cannot."""
        with _lock:
            if self._thread is None:
                self._thread = GuardedThread(self.kind, self._run, self._cut_off)
                self._thread.start()
        self._running.wait(10)
        self.check()

    def check(self) -> None:
        """Raises SinkError when the server's thread has failed: nobody sees the stream then."""
        if self._thread is not None:
            self._thread.check(SinkError)

    def leave(self) -> None:
        """One sink less; the last one stops the server, within two seconds."""
        with _lock:  # to the end: who joins this address next must find the port free
            self._users -= 1
            if self._users:
                return
            del _sites[(self._address.host, self.port)]
            if self._thread is not None and self._thread.is_alive():
                with suppress(RuntimeError):  # it failed, and its loop is closed
                    self.loop.call_soon_threadsafe(self._stop)
                self._thread.join(2)
            self._listener.close()

    def _run(self) -> None:
        lower_priority()
        asyncio.run(self._serve())

    def _cut_off(self, failure: BaseException) -> None:
        """Pages that stayed connected would take the last image for a live one."""
        self._listener.cut_off()
        self._running.set()
        _log.error("%s failed, its pages were cut off: %s", self.url, first_line(failure))

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                self.app(),
                http=Http,
                h11_max_incomplete_event_size=MAX_HEAD,
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                server_header=False,
                ws_per_message_deflate=False,
                ws_max_size=1024,
                timeout_graceful_shutdown=1,
                ssl_certfile=self._address.certificate,
                ssl_keyfile=self._address.key,
            )
        )
        self._running.set()
        tasks = {asyncio.create_task(work) for work in (self._uvicorn.serve([self._listener]), self.tick())}
        for task in tasks:
            task.add_done_callback(lambda one: one.cancelled() or one.exception())  # else asyncio prints what ended us
        ended, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in others:
            task.cancel()
        for task in ended:
            task.result()

    async def tick(self) -> None:
        """Runs beside the server, and does not end by itself; here for subclasses."""
        await asyncio.Event().wait()

    def _stop(self) -> None:
        self._uvicorn.should_exit = True

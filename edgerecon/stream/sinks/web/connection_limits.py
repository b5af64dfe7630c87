"""Bounds what strangers can hold open: connections, each address's share of them, and how long one may take."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 128
MAX_PER_ADDRESS = 48
"""Of these, for whoever comes from one address: a large grid in one window, and nobody takes all places."""

MAX_HEAD = 8192
"""Bytes of a request's line and headers."""

MAX_SECONDS = 30.0
"""After so long an HTTP connection is cut, whatever it does: each answer takes milliseconds. WebSockets stay."""

HANDSHAKE_S = 5.0
"""For TLS, before there is a connection that could take MAX_SECONDS."""

UNREAD_S = 30.0
"""A peer that takes nothing of what it asked for is cut off after so long, WebSockets too (by Linux)."""

_FULL = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

_handshakes: dict[int, asyncio.TimerHandle] = {}
"""By file descriptor: when a connection that has not come through the handshake is given up."""


def origin(address: str) -> str:
    """Who shares one share: an IPv4 address, or the /64 that one subscriber of IPv6 has to choose from."""
    with suppress(ValueError):
        ip = ip_address(address.partition("%")[0])
        if isinstance(ip, IPv6Address):
            return str(ip.ipv4_mapped or int(ip) >> 64)
    return address


class LimitedListener(socket.socket):
    """A listening socket that turns away whoever comes when all places or those of its address are taken, unread.

    Counted here and not in the web server, which knows a TLS connection only after its handshake. A stream must
    never run out of file descriptors because of who looks at it.
    """

    def __init__(self, *kind: Any) -> None:
        super().__init__(*kind)
        self.inside = Counter[str]()
        self._connections: set[_Connection] = set()

    def accept(self) -> tuple[socket.socket, Any]:
        """The next one who is let in. Called by the event loop that serves."""
        while True:
            descriptor, address = self._accept()  # type: ignore[attr-defined]
            connection = _Connection(self.family, self.type, self.proto, fileno=descriptor)
            connection.enter(self, origin(address[0]))
            self._connections.add(connection)
            if self.inside.total() <= MAX_CONNECTIONS and self.inside[connection.origin] <= MAX_PER_ADDRESS:
                connection.hurry()
                return connection, address
            with suppress(OSError):
                connection.setblocking(False)
                connection.send(_FULL)
            connection.close()

    def forget(self, connection: _Connection) -> None:
        """It has gone."""
        self._connections.discard(connection)
        self.inside[connection.origin] -= 1
        self.inside += Counter()  # forgets those of whom nobody is left

    def cut_off(self) -> None:
        """Close it, and every connection that came through it. Called when nobody serves any more."""
        self.close()
        for connection in tuple(self._connections):
            connection.close()


class _Connection(socket.socket):
    """One accepted connection, which says when it has gone."""

    listener: LimitedListener | None = None
    origin = ""

    def enter(self, listener: LimitedListener, origin: str) -> None:
        self.listener, self.origin = listener, origin
        listener.inside[origin] += 1

    def hurry(self) -> None:
        """Bound what it may take."""
        loop = asyncio.get_running_loop()
        _handshakes[self.fileno()] = loop.call_later(HANDSHAKE_S, self._give_up)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1e3 * UNREAD_S))

    def close(self) -> None:
        _arrived(self.fileno())
        super().close()
        if self.listener is not None:
            self.listener.forget(self)
            self.listener = None

    def _give_up(self) -> None:
        with suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)


def _arrived(descriptor: int) -> None:
    if timer := _handshakes.pop(descriptor, None):
        timer.cancel()


class Http(H11Protocol):
    """Uvicorn's HTTP connection, of limited duration."""

    _end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        _arrived(transport.get_extra_info("socket").fileno())
        self._end = self.loop.call_later(MAX_SECONDS, self._expire)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)

    def _expire(self) -> None:
        if self.transport.get_protocol() is self:  # else it became a WebSocket
            self.transport.abort()  # close() would wait until the peer has read what it asked for

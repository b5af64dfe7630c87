"""Bounds what strangers can hold open: connections, the size of a request, and how long one may take."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 128
MAX_HEAD = 8192
"""Bytes of a request's line and headers."""

MAX_SECONDS = 30.0
"""After so long an HTTP connection is closed, whatever it does: each answer takes milliseconds. WebSockets stay."""

_FULL = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Door(socket.socket):
    """A listening socket that turns away whoever comes when MAX_CONNECTIONS are open, before a byte is read.

    Counted here and not in the web server, which knows a TLS connection only after its handshake. A stream must
    never run out of file descriptors because of who looks at it.
    """

    inside = 0

    def accept(self) -> tuple[socket.socket, Any]:
        while True:
            descriptor, address = self._accept()  # type: ignore[attr-defined]
            guest = _Guest(self.family, self.type, self.proto, fileno=descriptor)
            guest.door = self
            self.inside += 1
            if self.inside <= MAX_CONNECTIONS:
                return guest, address
            with suppress(OSError):
                guest.setblocking(False)
                guest.send(_FULL)
            guest.close()


class _Guest(socket.socket):
    """One accepted connection, which says when it has gone."""

    door: Door | None = None

    def close(self) -> None:
        super().close()
        if self.door is not None:
            self.door.inside -= 1
            self.door = None


class Http(H11Protocol):
    """Uvicorn's HTTP connection, of limited duration."""

    _end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._end = self.loop.call_later(MAX_SECONDS, self._expire)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)

    def _expire(self) -> None:
        if self.transport.get_protocol() is self:  # else it became a WebSocket
            self.transport.close()

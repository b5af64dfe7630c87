"""Where a sink is served, as its URI says: ``viewer:HOST:PORT?name=…&cert=…&key=…``."""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass

from edgerecon.core.errors import SinkError, UsageError
from edgerecon.stream.sources.query import Query, parse_query, refuse_unknown
from edgerecon.stream.uri import split_uri

LOOPBACK = ("127.0.0.1", "::1", "localhost")
"""The names under which a sink is served without a token: frames may show a person."""

OPTIONS = ("name", "cert", "key")


@dataclass(frozen=True)
class Address:
    """Attributes:
    host: a loopback name, or an interface of this machine (0.0.0.0: all of them).
    port: TCP port; 0 takes a free one.
    name: of the stream, for people and metrics; None: its source's.
    certificate, key: PEM files for TLS, or None.
    """

    host: str
    port: int
    name: str | None = None
    certificate: str | None = None
    key: str | None = None

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        return self.host in LOOPBACK


def parse(uri: str, default_port: int) -> Address:
    """The address in ``KIND``, ``KIND:PORT`` or ``KIND:HOST:PORT``, each with ``?name=…&cert=…&key=…``.

    Raises:
        UsageError: an unknown option, or see ``address_of``.
    """
    place, _, options = uri.partition("?")
    query = parse_query(options)
    refuse_unknown(query, OPTIONS, place.partition(":")[0])
    return address_of(place, query, default_port)


def address_of(place: str, query: Query, default_port: int) -> Address:
    """The address in ``KIND``, ``KIND:PORT`` or ``KIND:HOST:PORT``, and the options that follow it.

    Raises:
        UsageError: not a host, not a port, or a certificate without its key.
    """
    kind, _, rest = place.partition(":")
    rest = rest.removeprefix("//")
    try:
        parts = split_uri(f"{kind}://:{rest}" if rest.isdigit() else f"{kind}://{rest}")
        host, port = parts.hostname or "127.0.0.1", parts.port
        if rest and port is None or parts.username or parts.path:
            raise ValueError
    except (ValueError, UsageError):
        shown = rest.rpartition("@")[2]  # what stands before may be a password
        raise UsageError(
            f"'{shown}' is not an address: give {kind}:PORT or {kind}:HOST:PORT, port 0 (a free one) to 65535"
        ) from None
    if ("cert" in query) != ("key" in query):
        raise UsageError(f"TLS wants both files: {kind}:HOST:PORT?cert=CERT.pem&key=KEY.pem")
    return Address(
        host,
        default_port if port is None else port,
        query.get("name") or None,
        query.get("cert"),
        query.get("key"),
    )


def listen(address: Address, kind: str, listener: socket.socket) -> None:
    """Bind a socket, so that a busy port is reported before the stream starts.

    Raises:
        SinkError: the port is taken or may not be used, or the host is not this machine.
        UsageError: the port is not one.
    """
    if not 0 <= address.port <= 65535:
        raise UsageError(f"{address.port} is not a TCP port: choose one from 1024 to 65535, or 0 for a free one")
    try:
        # Without it a port stays taken for a minute after a stream ends; a second listener is still refused. On Windows
        # no port stays taken, and a second listener would be let in.
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
        listener.listen(64)
    except OSError as error:
        listener.close()
        where = f"port {address.port}" if address.is_loopback else f"{address.host}, port {address.port}"
        raise SinkError(
            f"cannot open the {kind} on {where} ({error.strerror}): choose another,  --sink {kind}:PORT"
        ) from error

"""Rates, connections and requests of the web servers are bounded, and the stream takes no harm."""

from __future__ import annotations

import base64
import socket
import time
from contextlib import suppress

import httpx
import numpy as np
import pytest
from websockets.exceptions import InvalidStatus

from edgerecon.stream.sinks.viewer import ViewerSink
from edgerecon.stream.sinks.web import connection_limits, guard
from edgerecon.stream.sinks.web.guard import BURST, REQUESTS_PER_S, Rate
from tests.stream.sinks.served_page import at, connected, is_cut, page_of, present, until

# ---- bounds -------------------------------------------------------------------------------------------------------


def test_rate_of_each_client_is_bounded_and_then_forgotten() -> None:
    rate = Rate()
    assert sum(rate.allows("a", now=0.0) for _ in range(1000)) == BURST
    assert rate.allows("b", now=0.0), "another client is not concerned"
    assert sum(rate.allows("a", now=1.0) for _ in range(1000)) == REQUESTS_PER_S
    for number in range(5000):
        rate.allows(str(number), now=2.0)
    assert len(rate._buckets) <= 1024


def test_flood_of_requests_is_answered_429(viewer: ViewerSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "REQUESTS_PER_S", 0.0)
    monkeypatch.setattr(guard, "BURST", 10.0)
    with httpx.Client(timeout=120) as client:
        codes = [client.get(at(viewer, "/streams")).status_code for _ in range(15)]
    assert codes == [200] * 10 + [429] * 5


def test_fork_bomb_of_pages_leaves_the_stream_unharmed(viewer: ViewerSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MAX_WEBSOCKETS", 3)
    pages = [page_of(viewer) for _ in range(3)]
    for _ in range(3):
        with pytest.raises(InvalidStatus, match="503"), page_of(viewer):
            pass
    present(viewer, 1)
    pages.pop().close()
    patience = time.monotonic() + 120
    while viewer._channel.pages > 2 and time.monotonic() < patience:
        time.sleep(0.01)
    with page_of(viewer) as page:
        page.recv(timeout=20)
        page.send("frame")
        assert isinstance(page.recv(timeout=20), bytes), "whoever goes makes room"
    for page in pages:
        page.close()


@pytest.mark.parametrize("bound", ["MAX_CONNECTIONS", "MAX_PER_ADDRESS"])
def test_connections_that_say_nothing_are_bounded_and_end(
    viewer: ViewerSink, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(connection_limits, bound, 8)
    silent = connected(viewer, 20)
    assert [one.recv(12) for one in silent[8:]] == [b"HTTP/1.1 503"] * 12, "turned away, however slow this machine is"
    for one in silent:
        one.close()
    until(lambda: not viewer._site._listener.inside)
    monkeypatch.setattr(connection_limits, "MAX_SECONDS", 0.2)
    silent = connected(viewer, 8)
    present(viewer, 1)
    assert all(map(is_cut, silent)), "each is cut when its time is over"
    until(lambda: not viewer._site._listener.inside)
    monkeypatch.undo()
    assert httpx.get(at(viewer), timeout=120).status_code == 200


def test_pipelined_requests_that_are_not_read_are_cut(viewer: ViewerSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "MAX_SECONDS", 0.5)
    request = f"GET /style.css HTTP/1.1\r\nHost: 127.0.0.1:{viewer.port}\r\n\r\n".encode()
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", viewer.port))
        one.setblocking(False)
        with suppress(BlockingIOError, ConnectionError):
            while True:
                one.send(request * 100)
        until(lambda: not viewer._site._listener.inside)  # although nothing was read


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux has it")
def test_page_that_asks_and_does_not_read_is_cut(viewer: ViewerSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "UNREAD_S", 1.0)
    key = base64.b64encode(bytes(16)).decode()
    head = {
        "Host": f"127.0.0.1:{viewer.port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key,
    }
    wire = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    word = b"\x81\x85\0\0\0\0frame"  # a masked text message
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", viewer.port))
        one.sendall(f"GET /ws?stream=cine HTTP/1.1\r\n{wire}\r\n".encode())
        until(lambda: viewer._channel.pages)
        for sequence in range(8):
            present(viewer, sequence, (2000, 2000))
            with suppress(ConnectionError):
                one.sendall(word)
        until(lambda: not viewer._site._listener.inside)


def test_share_is_that_of_an_address_or_of_a_subscriber() -> None:
    assert (
        connection_limits.origin("192.0.2.1")
        == connection_limits.origin("::ffff:192.0.2.1")
        != connection_limits.origin("192.0.2.2")
    )
    assert (
        connection_limits.origin("2001:db8::1")
        == connection_limits.origin("2001:db8::ffff:2")
        != connection_limits.origin("2001:db8:0:1::1")
    )
    assert (
        connection_limits.origin("fe80::1%eth0") == connection_limits.origin("fe80::2%eth0")
        and connection_limits.origin("") == ""
    )


def test_long_requests_are_refused(viewer: ViewerSink) -> None:
    for size in (9000, 60_000):
        with pytest.raises(httpx.HTTPError):
            httpx.get(at(viewer), headers={"Cookie": "y" * size}, timeout=120).raise_for_status()
        with pytest.raises(httpx.HTTPError):
            httpx.get(at(viewer, "/?" + "y" * size), timeout=120).raise_for_status()
    assert httpx.get(at(viewer), timeout=120).status_code == 200


def test_garbage_on_the_wire_hurts_nobody(viewer: ViewerSink, rng: np.random.Generator) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", viewer.port), timeout=20) as raw:
            raw.sendall(rng.bytes(2000))
    present(viewer, 5)
    assert httpx.get(at(viewer), timeout=120).status_code == 200

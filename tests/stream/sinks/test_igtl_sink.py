"""The OpenIGTLink sink: clients that read, lag, break off, or take nothing."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice

import numpy as np
import pytest

pyigtl = pytest.importorskip("pyigtl", reason="pyigtl is not installed")

from edgerecon.core.errors import SinkError, UsageError  # noqa: E402
from edgerecon.stream.loop.stream import stream  # noqa: E402
from edgerecon.stream.sinks import open_sink  # noqa: E402
from edgerecon.stream.sinks.igtl import CLIENTS_AT_MOST  # noqa: E402
from edgerecon.stream.sources import Capture, open_source  # noqa: E402
from tests.stream.sources.igtl_server import INFO, greys, present, wait_for  # noqa: E402


def test_the_client_of_pyigtl_gets_what_is_shown(igtl_sink) -> None:
    client = pyigtl.OpenIGTLinkClient("127.0.0.1", igtl_sink.port)
    wait_for(lambda: igtl_sink.clients)
    present(igtl_sink, 77)
    got = client.wait_for_message("edgerecon", timeout=10)
    client.stop()
    assert got.image.shape == (1, 6, 8) and got.image.max() == got.image.min() == 77
    assert abs(got.timestamp - time.time()) < 60


def test_every_frame_comes_through_both_in_order(igtl_sink) -> None:
    with closing(open_source(igtl_sink.url)) as source:
        wait_for(lambda: igtl_sink.clients)
        frames = source.frames()
        for number in range(40):
            present(igtl_sink, number, shape=(6, 8) if number < 20 else (12, 5))
            capture = next(frames)
            assert (capture.gap, greys([capture])) == (0, [number])
        assert capture.spacing_mm == (0.2, 0.1)
        wait_for(lambda: igtl_sink.clients[0].sent == 40)
        assert igtl_sink.skipped == 0


def test_a_slow_client_loses_frames_that_both_sides_count_alike(igtl_sink) -> None:
    with closing(open_source(igtl_sink.url)) as source:
        wait_for(lambda: igtl_sink.clients)
        for number in range(60):
            present(igtl_sink, number, shape=(800, 800))
            if number % 4 == 3:  # the packing thread is to keep up: here the client is to be the slow one
                time.sleep(0.02)
        client = igtl_sink.clients[0]
        present(igtl_sink, 60, shape=(800, 800))
        gaps, got, last = 0, 0, -1
        frames = source.frames()
        while last != 60:
            capture = next(frames)
            gaps, got, last = gaps + capture.gap, got + 1, greys([capture])[0]
        wait_for(lambda: client.sent == got)
    assert gaps == client.dropped == igtl_sink.skipped > 0
    assert got + gaps == 61
    igtl_sink.close()
    assert igtl_sink.skipped == gaps  # and is known afterwards


def test_a_client_that_takes_nothing_holds_back_no_other(igtl_sink) -> None:
    dead = socket.create_connection(("127.0.0.1", igtl_sink.port))
    with closing(open_source(igtl_sink.url)) as source, dead:
        wait_for(lambda: len(igtl_sink.clients) == 2)
        frames = source.frames()
        for number in range(30):
            present(igtl_sink, number, shape=(600, 600))
            assert greys([next(frames)]) == [number]


def test_a_client_that_breaks_off_is_forgotten(igtl_sink) -> None:
    client = socket.create_connection(("127.0.0.1", igtl_sink.port))
    client.sendall(b"STT_TDATA and whatever else clients say")
    wait_for(lambda: igtl_sink.clients)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()  # a reset
    wait_for(lambda: not igtl_sink.clients)
    present(igtl_sink, 1)


@pytest.mark.parametrize("fault", [RuntimeError("no"), SystemExit(), MemoryError(), KeyboardInterrupt()])
def test_a_failing_server_cuts_off_clients_and_opens_again(fault, monkeypatch, caplog) -> None:
    def fail(*arguments) -> list[memoryview]:
        raise fault

    igtl_sink = open_sink("igtl://:0")
    igtl_sink.open(INFO)
    with socket.create_connection(("127.0.0.1", igtl_sink.port), 10) as client:
        wait_for(lambda: igtl_sink.clients)
        with monkeypatch.context() as patched:
            patched.setattr("edgerecon.stream.sinks.igtl.pack_image", fail)
            present(igtl_sink, 1)
            assert client.recv(1) == b""  # the end of the connection, not a frozen image
        with pytest.raises(SinkError, match="failed, its clients were cut off"):
            present(igtl_sink, 2)
        with pytest.raises(SinkError):
            igtl_sink.close()
    assert "its clients were cut off" in caplog.text
    igtl_sink.open(INFO)
    with closing(open_source(igtl_sink.url)) as source:
        wait_for(lambda: igtl_sink.clients)
        present(igtl_sink, 3)
        assert greys([next(source.frames())]) == [3]
    igtl_sink.close()


@pytest.mark.parametrize("spacing", [(1e300, 1e300), (1e39, 1.0), (float("nan"), 1.0)])
def test_a_spacing_beyond_float32_does_not_freeze_the_image(spacing) -> None:
    class Nonsense:
        name, live, period_s, spacing_mm, length = "nonsense", False, 0.01, spacing, 3

        def frames(self) -> Iterator[Capture]:
            for number in range(3):
                yield Capture(np.full((4, 6), number, np.uint8), spacing_mm=spacing)

        def close(self) -> None: ...

    igtl_sink = open_sink("igtl://:0")
    with closing(open_source(igtl_sink.url)) as client:
        report = stream(Nonsense(), None, [igtl_sink], policy="every", pace=False)
        captures = list(islice(client.frames(), 3))
    assert (report.presented, report.error) == (3, None)
    assert greys(captures) == [0, 1, 2]
    assert all(one.spacing_mm is None for one in captures)


def test_clients_are_limited(igtl_sink) -> None:
    clients = [socket.create_connection(("127.0.0.1", igtl_sink.port)) for _ in range(CLIENTS_AT_MOST + 3)]
    clients[-1].settimeout(120)
    assert clients[-1].recv(1) == b""
    assert len(igtl_sink.clients) == CLIENTS_AT_MOST
    for client in clients:
        client.close()


def test_addresses_of_the_sink(igtl_sink, caplog) -> None:
    with pytest.raises(SinkError, match="cannot listen on 127.0.0.1 port"):
        open_sink(f"igtl://127.0.0.1:{igtl_sink.port}")
    for nonsense in ("igtl://:99999", "igtl://:0/Device", "igtl://:0?version=3", "igtl://:0?ras=1"):
        with pytest.raises(UsageError, match="igtl|OpenIGTLink"):
            open_sink(nonsense)
    assert not caplog.records
    open_sink("igtl://0.0.0.0:0").close()
    assert "no password" in caplog.text

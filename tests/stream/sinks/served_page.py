"""A viewer that is served, and connections to it, for the tests of its guards."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import numpy as np
from websockets.sync.client import connect

from edgerecon.core.frame import Frame
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.viewer import ViewerSink
from edgerecon.stream.sinks.web.address import Address

TOKEN = "a token of more than sixteen characters"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
HERE = Address("127.0.0.1", 0)


def info() -> StreamInfo:
    return StreamInfo("cine", "model", "onnxruntime", "fp32", 1 / 30, 33.3, None, Counters())


def opened(address: Address = HERE) -> ViewerSink:
    sink = ViewerSink(address)
    sink.open(info())
    return sink


def at(sink: ViewerSink, path: str = "/") -> str:
    return f"http://127.0.0.1:{sink.port}{path}"


def page_of(sink: ViewerSink, **options: object):
    return connect(f"ws://127.0.0.1:{sink.port}/ws?stream=cine", compression=None, **options)


def connected(sink: ViewerSink, count: int) -> list[socket.socket]:
    return [socket.create_connection(("127.0.0.1", sink.port), timeout=300) for _ in range(count)]


def is_cut(one: socket.socket) -> bool:
    """Whether the other side ends the connection, what it sent before included."""
    try:
        while one.recv(1 << 20):
            pass
    except ConnectionError:
        pass
    return True  # else recv raises TimeoutError


def until(condition: Callable[[], object]) -> None:
    patience = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < patience, "it did not come to that"
        time.sleep(0.01)


def present(sink: ViewerSink, sequence: int, shape: tuple[int, int] = (8, 8)) -> None:
    image = np.zeros(shape, np.float32)
    sink.present(image, Frame(image, sequence, time.perf_counter_ns()), late=False)

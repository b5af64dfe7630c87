"""A server that sends what a test says, and a sink of ours, over OpenIGTLink."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing

import numpy as np

from edgerecon.core.frame import Frame
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.protocols.openigtlink import pack_image
from edgerecon.stream.sinks import StreamInfo
from edgerecon.stream.sinks.igtl import IgtlServerSink
from edgerecon.stream.sources import Capture, open_source

INFO = StreamInfo("source", "none", "none", "fp32", 1 / 30, 33.0, None, Counters())


def message(grey: int, index: int = 0, time_s: float = 0.0, shape=(4, 6), device="Probe", spacing=None) -> bytes:
    return b"".join(pack_image(np.full(shape, grey, np.uint8), spacing, device, index, time_s))


class Server:
    """Answers connection n with the n-th script: bytes to send, or things to do in between."""

    def __init__(self, *scripts: list[bytes | Callable[[], object]]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"igtl://127.0.0.1:{self.port}"
        self.hold = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(scripts,), daemon=True)
        self._thread.start()

    def _serve(self, scripts) -> None:
        for number, script in enumerate(scripts):
            connection, _ = self._listener.accept()
            with connection:
                for step in script:
                    if callable(step):
                        step()
                    else:
                        connection.sendall(step)
                if number == len(scripts) - 1:
                    self.hold.wait(60)

    def close(self) -> None:
        self.hold.set()
        self._thread.join(60)
        self._listener.close()


def take(url: str, count: int) -> list[Capture]:
    with closing(open_source(url)) as source:
        frames = source.frames()
        return [next(frames) for _ in range(count)]


def greys(captures: list[Capture]) -> list[int | None]:
    return [None if one.image is None else int(np.asarray(one.image).flat[0]) for one in captures]


def present(igtl_sink: IgtlServerSink, number: int, shape=(6, 8)) -> None:
    pixels = np.full(shape, number % 256 / 255, np.float32)
    igtl_sink.present(pixels, Frame(pixels, number, time.perf_counter_ns(), (0.2, 0.1)), False)


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)

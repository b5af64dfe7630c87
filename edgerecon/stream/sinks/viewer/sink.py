"""ViewerSink: the stream, live in a browser on this machine."""

from __future__ import annotations

import socket
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING

from edgerecon.errors import DependencyError, SinkError, UsageError
from edgerecon.frame import Frame, Image, Status
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.viewer.latest import Latest
from edgerecon.stream.sinks.viewer.loopback import LOOPBACK

if TYPE_CHECKING:
    from edgerecon.stream.sinks.viewer.server import Server


class ViewerSink:
    """Serves a page with before and after, latency and counters, on the loopback interface only.

    ``present`` copies one frame and returns; encoding and sending happen in the server's own thread, only
    while somebody looks, and always of the newest frame. The address is taken when the sink is made, so that
    a busy port is reported before the stream starts, and ``url`` can be opened at once: the page waits for
    the first frame.

    Args:
        port: TCP port; 0 takes a free one.
        host: a loopback name. The page has no log-in, so it is never served to the network; from another
            machine use an SSH tunnel.

    Raises:
        SinkError: the port is taken or may not be used.
        UsageError: the host is not a loopback name, or the port is not one.
        DependencyError: starlette, uvicorn or websockets is absent.
    """

    def __init__(self, port: int = 8765, host: str = "127.0.0.1") -> None:
        for package in ("starlette", "uvicorn", "websockets"):
            if find_spec(package) is None:
                raise DependencyError(package, "stream")
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"
        self.name = f"viewer at {self.url}"
        self._latest = Latest()
        self._server: Server | None = None

    def open(self, info: StreamInfo) -> None:
        from edgerecon.stream.sinks.viewer.server import Server

        self._server = Server(self._latest, info)
        self._server.start(self._socket)

    def present(self, before: Image, after: Frame, late: bool) -> None:
        now_ns = time.perf_counter_ns()
        self._latest.put(
            before,
            after.pixels,
            sequence=after.sequence,
            at_ms=now_ns / 1e6,
            latency_ms=(now_ns - after.captured_ns) / 1e6,
            late=late,
            raw=after.status is Status.RAW,
        )
        if self._server is not None:
            self._server.wake()

    def close(self) -> None:
        """Tell every viewer that the stream has ended, then stop serving."""
        if self._server is not None:
            self._server.stop()
            self._server = None
        self._socket.close()


def _listen(host: str, port: int) -> socket.socket:
    if host not in LOOPBACK:
        raise UsageError(
            f"the viewer serves this machine only, not {host}: from elsewhere use  ssh -L PORT:localhost:PORT"
        )
    if not 0 <= port <= 65535:
        raise UsageError(f"{port} is not a TCP port: choose one from 1024 to 65535, or 0 for a free one")
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        # Without it a port stays taken for a minute after a stream ends; a second listener is still refused.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(16)
    except OSError as error:
        listener.close()
        raise SinkError(
            f"cannot open the viewer on port {port} ({error.strerror}): choose another,  --sink viewer:PORT"
        ) from error
    return listener

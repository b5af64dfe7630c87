"""The viewer's web server: the page over HTTP, frames over a WebSocket, both from one thread of their own.

The page asks for each frame (any message) and gets the newest one. A slow or stalled page therefore skips
frames by itself and can hold back neither the stream nor another page.

A frame is one binary message: uint32 little-endian length of the header, the header as JSON, the captured
image and the shown image, each as an 8-bit BMP. BMP because it is lossless, every browser decodes it, and it
costs 50 µs to make where a PNG of 512×512 costs 5 ms of the processor that the model needs; on loopback its
size does not matter.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import socket
import struct
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import uvicorn
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketClose, WebSocketDisconnect

from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.viewer.latest import Latest
from edgerecon.stream.sinks.viewer.loopback import LOOPBACK

MAX_SIDE = 2048
"""Larger pictures are scaled down for display: no browser window shows more."""

_PAGE = Path(__file__).with_name("page")
_FILES = {"/": "index.html", "/style.css": "style.css", "/viewer.js": "viewer.js"}
_FAREWELL_S = 1.0
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


class Server:
    """Serves one stream from a daemon thread.

    Args:
        latest: where the presenting thread puts frames.
        info: what the page says of the stream.
    """

    def __init__(self, latest: Latest, info: StreamInfo) -> None:
        self._latest = latest
        self._info = info
        self._clients = 0
        self._pictures: tuple[int, bytes, bytes] = (0, b"", b"")
        self._news = asyncio.Event()
        self._over = asyncio.Event()
        self._running = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                self.app(),
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                ws_per_message_deflate=False,
                ws_max_size=1024,
                timeout_graceful_shutdown=1,
            )
        )

    def app(self) -> ASGIApp:
        """The ASGI application, guarded against other sites."""
        routes = [Route(path, _page_file(name)) for path, name in _FILES.items()]
        return _LoopbackOnly(Starlette(routes=[*routes, WebSocketRoute("/ws", self._client)]))

    def start(self, listener: socket.socket) -> None:
        """Serve on a socket that already listens; returns once the server runs."""
        self._thread = threading.Thread(target=self._run, args=(listener,), name="viewer", daemon=True)
        self._thread.start()
        self._running.wait(10)

    def wake(self) -> None:
        """Announce a new frame. Called from the presenting thread; costs nothing when nobody looks."""
        if self._clients:
            self._loop.call_soon_threadsafe(self._announce)

    def stop(self) -> None:
        """Give every page the last frame and the end, then stop; returns within about three seconds."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._finish(), self._loop)
            self._thread.join(_FAREWELL_S + 2)

    def _run(self, listener: socket.socket) -> None:
        if sys.platform == "linux":
            # On Linux each thread has its own priority: looking at a stream must not slow the stream.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        asyncio.run(self._serve(listener))

    async def _serve(self, listener: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._running.set()
        await self._uvicorn.serve(sockets=[listener])

    async def _finish(self) -> None:
        self._over.set()
        patience = self._loop.time() + _FAREWELL_S
        while self._clients and self._loop.time() < patience:
            await asyncio.sleep(0.01)
        self._uvicorn.should_exit = True

    def _announce(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _client(self, websocket: WebSocket) -> None:
        await websocket.accept()
        self._clients += 1
        feed = asyncio.create_task(self._feed(websocket))
        over = asyncio.create_task(self._over.wait())
        try:
            await asyncio.wait({feed, over}, return_when=asyncio.FIRST_COMPLETED)
            feed.cancel()
            if self._over.is_set():
                await asyncio.wait_for(self._farewell(websocket), _FAREWELL_S)
        except (WebSocketDisconnect, RuntimeError, asyncio.TimeoutError):
            pass  # the page went away (RuntimeError is Starlette's word for it) or hangs: nobody to tell
        finally:
            over.cancel()
            self._clients -= 1

    async def _feed(self, websocket: WebSocket) -> None:
        seen = 0
        try:
            await websocket.send_text(json.dumps(describe(self._info)))
            while (await websocket.receive())["type"] == "websocket.receive":
                while self._latest.version == seen:
                    await self._news.wait()
                seen = await self._send_newest(websocket, seen)
        except (WebSocketDisconnect, RuntimeError):
            return

    async def _farewell(self, websocket: WebSocket) -> None:
        if self._latest.version:
            await self._send_newest(websocket, 0)
        await websocket.send_text(json.dumps({"ended": True, "counters": self._info.counters.snapshot()}))
        await websocket.close()

    async def _send_newest(self, websocket: WebSocket, seen: int) -> int:
        points = self._latest.points_since(seen)
        shown = self._latest.take()
        if shown.version != self._pictures[0]:
            self._pictures = (shown.version, encode(shown.before), encode(shown.after))
        _, before, after = self._pictures
        header = {
            "version": shown.version,
            "sequence": shown.sequence,
            "latency_ms": shown.latency_ms,
            "late": shown.late,
            "raw": shown.raw,
            "shape": shown.after.shape,
            "bytes": [len(before), len(after)],
            "points": points,
            "counters": self._info.counters.snapshot(),
        }
        await websocket.send_bytes(pack(header, before, after))
        return shown.version


def describe(info: StreamInfo) -> dict[str, object]:
    """The first message to a page: what stands still during a stream."""
    return {
        "source": info.source,
        "model": info.model,
        "backend": info.backend,
        "precision": info.precision,
        "period_ms": info.period_s * 1e3,
        "deadline_ms": info.deadline_ms if math.isfinite(info.deadline_ms) else None,
        "spacing_mm": info.spacing_mm,
    }


def encode(image: NDArray[np.uint8]) -> bytes:
    """uint8 (H, W) → an 8-bit BMP, scaled down to MAX_SIDE when larger."""
    shrink = MAX_SIDE / max(image.shape)
    if shrink < 1:
        height, width = (max(1, round(side * shrink)) for side in image.shape)
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return cv2.imencode(".bmp", image)[1].tobytes()


def pack(header: dict[str, object], before: bytes, after: bytes) -> bytes:
    """One message: length of the header, header, captured image, shown image."""
    text = json.dumps(header).encode()
    return b"".join((struct.pack("<I", len(text)), text, before, after))


def _page_file(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        return FileResponse(_PAGE / name, headers=_HEADERS)

    return serve


class _LoopbackOnly:
    """Refuses other sites: names that resolve to this machine (DNS rebinding) and foreign pages."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if is_local(Headers(scope=scope)):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose(code=1008)(scope, receive, send)
        else:
            await PlainTextResponse("The viewer answers this machine only.\n", 403)(scope, receive, send)


def is_local(headers: Headers) -> bool:
    """Whether a request names a loopback host (any port: SSH tunnels work) and comes from our own page."""
    host = headers.get("host", "")
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name in LOOPBACK and headers.get("origin") in (None, f"http://{host}")

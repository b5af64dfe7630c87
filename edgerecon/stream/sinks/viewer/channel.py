"""One stream as the pages see it: each asks for the newest frame, and gets it as soon as there is one.

The page asks by a word: ``frame`` (both pictures), ``tile`` (a small one, for the grid) or ``figures`` (none, while it
stands still). A slow or stalled page therefore skips frames by itself and can hold back neither the stream nor another
page. Each message is made once and sent to all who ask for it. ``strength 0.6`` sets how strongly the model acts, and
``filter KEY 0.6`` a number of a filter, for everybody who looks.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from starlette.websockets import WebSocket, WebSocketDisconnect

from edgerecon.core.errors import UsageError, first_line
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.viewer import messages
from edgerecon.stream.sinks.viewer.latest import Latest, Shown

FAREWELL_S = 1.0
_STRENGTH, _FILTER = "strength ", "filter "


class Channel:
    """Belongs to the server's thread, but for ``latest``, ``info`` and ``pages``.

    Args:
        name: unique among the streams of one server.
        latest: where the presenting thread puts frames.
        info: what the page says of the stream.

    Attributes:
        pages: how many look; frames need not be announced while it is 0.
    """

    def __init__(self, name: str, latest: Latest, info: StreamInfo) -> None:
        self.name = name
        self.pages = 0
        self._latest = latest
        self._info = info
        self._made: dict[str, tuple[int, bytes]] = {}
        self._heartbeat_version = 0
        self._news = asyncio.Event()
        self._over = asyncio.Event()

    def announce(self) -> None:
        """Wake every page that waits."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    def send_heartbeat(self) -> None:
        """Called twice a second: without a new frame the pages get the counters, and see that the server lives."""
        if self._latest.version == self._heartbeat_version:
            self.announce()
        self._heartbeat_version = self._latest.version

    async def end(self) -> None:
        """Give every page the last frame and the end; returns within FAREWELL_S."""
        self._over.set()
        patience = asyncio.get_running_loop().time() + FAREWELL_S
        while self.pages and asyncio.get_running_loop().time() < patience:
            await asyncio.sleep(0.01)

    async def serve(self, websocket: WebSocket) -> None:
        """One page, from its greeting to its end."""
        await websocket.accept()
        self.pages += 1
        feed = asyncio.create_task(self._feed(websocket))
        over = asyncio.create_task(self._over.wait())
        try:
            await asyncio.wait({feed, over}, return_when=asyncio.FIRST_COMPLETED)
            feed.cancel()
            if self._over.is_set():
                await asyncio.wait_for(self._farewell(websocket), FAREWELL_S)
        except (WebSocketDisconnect, RuntimeError, asyncio.TimeoutError):
            pass  # the page went away (RuntimeError is Starlette's word for it) or hangs: nobody to tell
        finally:
            feed.cancel()
            over.cancel()
            self.pages -= 1

    async def _feed(self, websocket: WebSocket) -> None:
        seen = 0
        try:
            await websocket.send_text(messages.describe(self.name, self._info))
            while (message := await websocket.receive())["type"] == "websocket.receive":
                word = message.get("text") or ""
                if word.startswith((_STRENGTH, _FILTER)):
                    await self._set(websocket, word)
                    continue
                if self._latest.version == seen:
                    await self._news.wait()
                seen = await self._answer(websocket, word, seen)
        except (WebSocketDisconnect, RuntimeError):
            return

    async def _answer(self, websocket: WebSocket, word: str, seen: int) -> int:
        if word == "figures" or self._latest.version == seen:
            return await self._send_figures(websocket, seen)
        missed = self._latest.points_since(seen)
        shown = self._latest.take()
        if len(missed) > 1:
            await websocket.send_text(json.dumps({"points": missed[: len(missed) - 1]}))
        await websocket.send_bytes(self._message("tile" if word == "tile" else "frame", shown))
        return shown.version

    async def _send_figures(self, websocket: WebSocket, seen: int) -> int:
        points, version = self._latest.points_since(seen), self._latest.version
        figures = {"version": version, "points": points, "counters": self._counters()}
        await websocket.send_text(json.dumps(figures))
        return version

    def _counters(self) -> dict[str, object]:
        """Those of the stream, and what can be set as it stands now."""
        controls, counters = self._info.controls, self._info.counters.snapshot()
        if controls is None:
            return counters
        filters = {slider.key: slider.value for slider in controls.sliders()}
        return counters | {"strength": controls.strength, "filters": filters}

    async def _set(self, websocket: WebSocket, word: str) -> None:
        """Answers with a line when it cannot be; else every page sees it with the next frame."""
        controls = self._info.controls
        try:
            if controls is None:
                raise UsageError("this stream has nothing that can be set")
            if word.startswith(_STRENGTH):
                controls.strength = float(word.removeprefix(_STRENGTH))
            else:
                key, _, value = word.removeprefix(_FILTER).rpartition(" ")
                controls.slide(key, float(value))
        except (UsageError, ValueError) as error:
            await websocket.send_text(json.dumps({"fault": first_line(error)}))

    async def _farewell(self, websocket: WebSocket) -> None:
        if self._latest.version:
            await websocket.send_bytes(self._message("frame", self._latest.take()))
        await websocket.send_text(json.dumps({"ended": True, "counters": self._counters()}))
        await websocket.close()

    def _message(self, kind: str, shown: Shown) -> bytes:
        version, content = self._made.get(kind, (0, b""))
        if version != shown.version:
            make: Callable[[Shown, dict[str, object]], bytes] = messages.tile if kind == "tile" else messages.frame
            content = make(shown, self._counters())
            self._made[kind] = (shown.version, content)
        return content

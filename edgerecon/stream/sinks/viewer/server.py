"""The viewer's web server: the page over HTTP, the frames of every stream over WebSockets."""

from __future__ import annotations

import asyncio
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.viewer.channel import FAREWELL_S, Channel
from edgerecon.stream.sinks.viewer.latest import Latest
from edgerecon.stream.sinks.web.guard import HEADERS, Guard
from edgerecon.stream.sinks.web.site import Site

_PAGE = Path(__file__).with_name("page")
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_FILES = {f"/{file.name}": file for file in sorted(_PAGE.iterdir()) if file.suffix in _TYPES}
_FILES["/"] = _FILES.pop("/index.html")
_REMIND_S = 0.5


class ViewerSite(Site):
    """Serves the streams of all viewer sinks of one address."""

    kind = "viewer"

    def app(self) -> ASGIApp:
        """The web application: the page, the list of streams, and the socket that carries frames."""
        self._channels: dict[str, Channel] = {}
        files = [Route(path, _page_file) for path in _FILES]
        routes = [*files, Route("/streams", self._list), WebSocketRoute("/ws", self._look)]
        return Guard(Starlette(routes=routes), self.rules, public=frozenset(_FILES))

    def add(self, name: str, latest: Latest, info: StreamInfo) -> Channel:
        """Show one more stream. Its name gets a number when it is taken. Called from the stream's thread."""

        async def added() -> Channel:
            unique, count = name, 1
            while unique in self._channels:
                count += 1
                unique = f"{name} {count}"
            self._channels[unique] = Channel(unique, latest, info)
            return self._channels[unique]

        return asyncio.run_coroutine_threadsafe(added(), self.loop).result(10)

    def wake(self, channel: Channel) -> None:
        """Announce a new frame. Called from the presenting thread; costs nothing when nobody looks."""
        if channel.pages:
            self.loop.call_soon_threadsafe(channel.announce)

    def remove(self, channel: Channel) -> None:
        """Tell the pages of a stream that it has ended. Called from the stream's thread.

        Raises:
            SinkError: see ``check``.
        """
        self.check()

        async def removed() -> None:
            await channel.end()
            del self._channels[channel.name]

        asyncio.run_coroutine_threadsafe(removed(), self.loop).result(FAREWELL_S + 1)

    async def tick(self) -> None:
        """Send a heartbeat to every page, again and again."""
        while True:
            await asyncio.sleep(_REMIND_S)
            for channel in self._channels.values():
                channel.send_heartbeat()

    async def _list(self, request: Request) -> Response:
        """Every stream there is to be, in order; where they are planned, ``absent`` says why some do not run."""
        content: dict[str, object] = {"streams": self.in_order(self._channels)}
        if self.planned is not None:
            gone = {name: state for name, state in self.planned.items() if name not in self._channels}
            content["absent"] = {name: "starting" if state == "running" else state for name, state in gone.items()}
        return JSONResponse(content, headers=HEADERS)

    async def _look(self, websocket: WebSocket) -> None:
        channel = self._channels.get(websocket.query_params.get("stream", ""))
        if channel is None:
            await websocket.send_denial_response(JSONResponse({"error": "no such stream"}, 404, headers=HEADERS))
        else:
            await channel.serve(websocket)


async def _page_file(request: Request) -> Response:
    file = _FILES[request.url.path]
    return FileResponse(file, media_type=_TYPES[file.suffix], headers=HEADERS)

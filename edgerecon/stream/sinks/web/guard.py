"""The guard before every page: rate, size, host and origin, token, number of WebSockets; then the log-in."""

from __future__ import annotations

import time
from collections import OrderedDict
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request, cookie_parser
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from edgerecon.stream.sinks.web.access import Access
from edgerecon.stream.sinks.web.address import LOOPBACK
from edgerecon.stream.sinks.web.connection_limits import MAX_HEAD, origin

LOGIN = "/login"
MAX_WEBSOCKETS = 64
MAX_TOKEN = 512
"""Bytes of the only request body that is read."""

REQUESTS_PER_S, BURST = 50.0, 250.0
"""Of one client address; a page with its scripts takes about fifteen."""

_CLIENTS_KEPT = 1024
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """ASGI middleware. What it refuses, the application never sees.

    Args:
        app: what is guarded.
        rules: who may look.
        public: paths that show nothing of a stream and are served without the token, such as the page that asks for it.
    """

    def __init__(self, app: ASGIApp, rules: Access, public: frozenset[str] = frozenset()) -> None:
        self._app = app
        self._rules = rules
        self._public = public
        self._rate = Rate()
        self._websockets = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return
        refusal = self._refusal(scope, Headers(scope=scope))
        if refusal is not None:
            await refusal(scope, receive, send)
        elif scope["type"] == "websocket":
            self._websockets += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self._websockets -= 1
        elif scope["path"] == LOGIN:
            await (await self._login(Request(scope, receive)))(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        if not self._rate.allows(origin((scope.get("client") or ("",))[0])):
            return _say("Too many requests.", 429)
        if sum(len(name) + len(value) for name, value in headers.raw) + len(scope["query_string"]) > MAX_HEAD:
            return _say("This request is too long.", 431)
        if not is_ours(headers, self._rules):
            return _say("This address is not served to other sites, nor under other names.", 403)
        if scope["type"] == "http" and scope["method"] not in (
            ("POST",) if scope["path"] == LOGIN else ("GET", "HEAD")
        ):
            return _say("Nothing here takes that.", 405)
        if scope["path"] not in self._public and scope["path"] != LOGIN and not self._has_token(scope, headers):
            return _say("A token is needed: Authorization: Bearer TOKEN, or the page's form.", 401)
        if scope["type"] == "websocket" and self._websockets >= MAX_WEBSOCKETS:
            return _say("Enough pages look already.", 503)
        return None

    def _has_token(self, scope: Scope, headers: Headers) -> bool:
        if self._rules.token is None:
            return True
        kind, _, offered = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._rules.admits_token(offered.strip()):
            return True
        return self._rules.admits_session(cookie_parser(headers.get("cookie", "")).get(_cookie(scope), ""))

    async def _login(self, request: Request) -> Response:
        """Exchange the token for a cookie that no script can read and no other site's page can send."""
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MAX_TOKEN:
                return _say("That is no token.", 413)
        if not self._rules.admits_token(body.decode("utf-8", "replace").strip()):
            return _say("The token is not right.", 401)
        answer = Response(status_code=204, headers=HEADERS)
        secure = self._rules.scheme == "https"
        answer.set_cookie(_cookie(request.scope), self._rules.session, httponly=True, samesite="strict", secure=secure)
        return answer


class Rate:
    """A token bucket for each client address; the longest unseen are forgotten first."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, client: str, now: float | None = None) -> bool:
        """Whether one more request of this client is within bounds. ``now``: seconds, monotonic."""
        now = time.monotonic() if now is None else now
        left, then = self._buckets.pop(client, (BURST, now))
        left = min(BURST, left + (now - then) * REQUESTS_PER_S)
        self._buckets[client] = (max(0.0, left - 1), now)
        if len(self._buckets) > _CLIENTS_KEPT:
            self._buckets.popitem(last=False)
        return left >= 1


def is_ours(headers: Headers, rules: Access) -> bool:
    """Whether a request comes from our own page, if from any, and on loopback under a loopback name.

    Any port will do: SSH tunnels work. The name is checked against pages whose own name was made to point to this
    machine (DNS rebinding); with a token their browser lacks the cookie.
    """
    host = headers.get("host", "")
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    if not name or (rules.address.is_loopback and name not in LOOPBACK):
        return False
    return headers.get("origin") in (None, f"{rules.scheme}://{host}")


def _cookie(scope: Scope) -> str:
    """Named after the port, since a browser shows one host's cookies to all its ports."""
    return f"edgerecon-{(scope.get('server') or ('', 0))[1]}"


def _say(text: str, status: int) -> Response:
    return PlainTextResponse(text + "\n", status, headers=HEADERS)

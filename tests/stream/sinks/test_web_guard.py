"""Who may look at the viewer and the metrics, and how much strangers can hold open."""

from __future__ import annotations

import base64
import re
import socket
from pathlib import Path

import httpx
import pytest
from starlette.datastructures import Headers
from websockets.exceptions import InvalidStatus

from edgerecon.core.errors import SinkError, UsageError
from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sinks.viewer import ViewerSink
from edgerecon.stream.sinks.web import connection_limits, guard
from edgerecon.stream.sinks.web.access import Access, access
from edgerecon.stream.sinks.web.address import Address, parse
from edgerecon.stream.sinks.web.guard import is_ours
from tests.stream.sinks.served_page import BEARER, HERE, TOKEN, at, connected, is_cut, opened, page_of, until

# ---- addresses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("viewer", Address("127.0.0.1", 8765)),
        ("viewer:9000", Address("127.0.0.1", 9000)),
        ("viewer?name=bed%203", Address("127.0.0.1", 8765, "bed 3")),
        ("viewer:0", Address("127.0.0.1", 0)),
        ("viewer:0.0.0.0:9000?name=a", Address("0.0.0.0", 9000, "a")),
        ("viewer:[::1]:9000", Address("::1", 9000)),
        ("viewer://Bed-Side.local:1?cert=c.pem&key=k.pem", Address("bed-side.local", 1, None, "c.pem", "k.pem")),
    ],
)
def test_addresses(uri: str, address: Address) -> None:
    assert parse(uri, 8765) == address


@pytest.mark.parametrize(
    "uri",
    [
        "viewer:http",
        "viewer:99999",
        "viewer:-1",
        "viewer:a@b:80",
        "viewer:0.0.0.0:80/x",
        "viewer:²",
        "viewer:::1",
        "viewer:80?user=x",
        "viewer:80?cert=c.pem",
    ],
)
def test_nonsense_is_refused_in_one_line(uri: str) -> None:
    with pytest.raises(UsageError) as refused:
        open_sink(uri)
    assert "\n" not in str(refused.value)


def test_host_that_is_not_this_machine() -> None:
    with pytest.raises(SinkError, match="192.0.2.1"):
        ViewerSink(Address("192.0.2.1", 0))


def test_port_serves_one_kind_only(viewer: ViewerSink) -> None:
    pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")
    with pytest.raises(UsageError, match="already"):
        open_sink(f"metrics:{viewer.port}")


# ---- host and origin ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "origin", "allowed"),
    [
        ("127.0.0.1:8765", None, True),
        ("localhost:9000", "http://localhost:9000", True),
        ("[::1]:8765", "http://[::1]:8765", True),
        ("evil.example:8765", None, False),
        ("127.0.0.1.evil.example", None, False),
        ("127.0.0.1:8765", "http://evil.example", False),
        ("127.0.0.1:8765", "http://127.0.0.1:9999", False),
        ("127.0.0.1:8765", "https://127.0.0.1:8765", False),
        ("127.0.0.1:8765", "null", False),
        ("evil@127.0.0.1:8765", "http://evil.example", False),
        ("[broken", None, False),
        ("", None, False),
    ],
)
def test_only_our_own_page_on_this_machine(host: str, origin: str | None, allowed: bool) -> None:
    headers = Headers({"host": host, **({"origin": origin} if origin else {})})
    assert is_ours(headers, Access(HERE)) is allowed


def test_beyond_loopback_any_name_but_only_our_own_page() -> None:
    rules = Access(Address("0.0.0.0", 1, None, "c.pem", "k.pem"), TOKEN)
    assert is_ours(Headers({"host": "bed:1", "origin": "https://bed:1"}), rules)
    assert not is_ours(Headers({"host": "bed:1", "origin": "http://bed:1"}), rules)
    assert not is_ours(Headers({"host": "bed:1", "origin": "https://evil.example"}), rules)


def test_foreign_name_gets_neither_page_nor_frames(viewer: ViewerSink) -> None:
    answer = httpx.get(at(viewer), timeout=120)
    assert answer.status_code == 200 and "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert "server" not in answer.headers and answer.headers["Referrer-Policy"] == "no-referrer"
    assert httpx.get(at(viewer), headers={"Host": f"localhost:{viewer.port}"}, timeout=120).status_code == 200
    assert httpx.get(at(viewer), headers={"Host": "evil.example"}, timeout=120).status_code == 403
    for path in ("/../server.py", "/%2e%2e/server.py", "/index.html", "/page/style.css", "/.git/config"):
        assert httpx.get(at(viewer, path), timeout=120).status_code == 404, path
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert httpx.request(method, at(viewer, "/streams")).status_code == 405
    key = base64.b64encode(bytes(16)).decode()
    asked = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key}
    wire = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "evil.example", **asked}.items())
    with socket.create_connection(("127.0.0.1", viewer.port), timeout=20) as raw:
        raw.sendall(f"GET /ws?stream=cine HTTP/1.1\r\n{wire}\r\n".encode())
        assert raw.recv(64).startswith(b"HTTP/1.1 403")


def test_foreign_origin_is_refused_by_the_real_server(viewer: ViewerSink) -> None:
    with pytest.raises(InvalidStatus, match="403"), page_of(viewer, origin="http://evil.example"):
        pass


def test_page_names_no_address_but_its_own(viewer: ViewerSink) -> None:
    scripts = [file.name for file in (Path(guard.__file__).parents[1] / "viewer" / "page").glob("*.js")]
    assert scripts
    with httpx.Client(timeout=120) as browser:
        texts = [browser.get(at(viewer, f"/{name}")).text for name in ("", "style.css", *scripts)]
    addresses = {found for text in texts for found in re.findall(r"\w+://[^/'\"`\s]+", text)}
    assert addresses <= {"http://www.w3.org"}, "that of SVG's XML namespace"


# ---- token --------------------------------------------------------------------------------------------------------


def test_token_is_made_beyond_loopback_and_only_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGERECON_TOKEN", raising=False)
    assert access(HERE).token is None
    made = access(Address("0.0.0.0", 1))
    assert made.token is not None and len(made.token) >= 43 and made.generated
    assert made.url_with_token(1).endswith(f"#token={made.token}"), "in the fragment, which no browser sends"
    assert made.token not in made.url(1) and made.token not in repr(made) and made.token not in made.session
    monkeypatch.setenv("EDGERECON_TOKEN", TOKEN)
    assert access(HERE).token == TOKEN and access(HERE).url_with_token(1) == "http://127.0.0.1:1/"
    monkeypatch.setenv("EDGERECON_TOKEN", "short")
    with pytest.raises(UsageError, match="at least 16"):
        access(HERE)


def test_without_the_token_nothing_of_a_stream_is_served(guarded: ViewerSink) -> None:
    assert httpx.get(at(guarded), timeout=120).status_code == 200, "the page that asks for the token"
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer \xff"},
        {"Cookie": f"edgerecon-{guarded.port}=wrong"},
    ):
        answer = httpx.get(
            at(guarded, "/streams"), headers={k: v.encode("latin-1") for k, v in headers.items()}, timeout=120
        )
        assert answer.status_code == 401 and "cine" not in answer.text
    assert httpx.get(at(guarded, f"/streams?token={TOKEN}"), timeout=120).status_code == 401, "addresses end up in logs"
    with pytest.raises(InvalidStatus, match="401"), page_of(guarded):
        pass
    assert httpx.get(at(guarded, "/streams"), headers=BEARER, timeout=120).json() == {"streams": ["cine"]}
    with page_of(guarded, additional_headers=BEARER) as page:
        assert "cine" in page.recv(timeout=20)


def test_log_in_gives_a_cookie_without_the_token(guarded: ViewerSink) -> None:
    with httpx.Client(timeout=120) as browser:
        assert browser.post(at(guarded, "/login"), content="wrong").status_code == 401
        assert browser.post(at(guarded, "/login"), content="x" * 100_000).status_code == 413
        assert browser.post(at(guarded, "/login"), content=TOKEN, headers={"Origin": "http://evil"}).status_code == 403
        assert browser.get(at(guarded, "/login")).status_code == 405
        answer = browser.post(at(guarded, "/login"), content=TOKEN)
        assert answer.status_code == 204
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie and TOKEN not in cookie
        assert browser.get(at(guarded, "/streams")).status_code == 200


def test_token_is_compared_in_constant_time() -> None:
    source = (Path(guard.__file__).parent / "access.py").read_text()
    assert "hmac.compare_digest" in source and not re.search(r"token\s*==\s*[a-z]", source)


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["silent", "half a hello"])
def test_tls_handshake_that_does_not_end_is_cut(
    pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(connection_limits, "HANDSHAKE_S", 0.2)
    sink = opened(Address("127.0.0.1", 0, None, *pair))
    try:
        silent = connected(sink, 5)
        for one in silent:
            one.sendall(said)
        assert all(map(is_cut, silent))
        until(lambda: not sink._site._listener.inside)
        monkeypatch.setattr(connection_limits, "HANDSHAKE_S", 60.0)
        assert httpx.get(f"https://127.0.0.1:{sink.port}/", verify=pair[0], timeout=120).status_code == 200
    finally:
        sink.close()


def test_certificate_makes_it_tls(pair: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cert, key = pair
    monkeypatch.setenv("EDGERECON_TOKEN", TOKEN)
    sink = opened(Address("127.0.0.1", 0, None, cert, key))
    try:
        assert sink.url.startswith("https://")
        address = f"https://127.0.0.1:{sink.port}"
        with httpx.Client(verify=cert, timeout=120) as browser:
            answer = browser.post(f"{address}/login", content=TOKEN, headers={"Origin": address})
            assert answer.status_code == 204 and "Secure" in answer.headers["Set-Cookie"]
            assert browser.get(f"{address}/streams").status_code == 200
        with pytest.raises(httpx.HTTPError):
            httpx.get(at(sink), timeout=20)
    finally:
        sink.close()
    with pytest.raises(SinkError, match="belong together"):
        ViewerSink(Address("127.0.0.1", 0, None, key, cert))
    with pytest.raises(SinkError, match="No such file"):
        ViewerSink(Address("127.0.0.1", 0, None, str(tmp_path / "none.pem"), key))

"""The viewer's buffer, wire format, access rules and behaviour towards slow, hostile and vanishing pages."""

from __future__ import annotations

import base64
import json
import re
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from email.message import Message

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from edgerecon.errors import DependencyError, SinkError, UsageError
from edgerecon.frame import Frame, Image, Status, to_uint8
from edgerecon.stream.counters import Counters
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.viewer import ViewerSink, sink
from edgerecon.stream.sinks.viewer.latest import HISTORY, Latest
from edgerecon.stream.sinks.viewer.server import MAX_SIDE, encode, is_local


def info(counters: Counters | None = None, deadline_ms: float = 33.3) -> StreamInfo:
    return StreamInfo("cine", "model", "onnxruntime", "fp32", 1 / 30, deadline_ms, (0.5, 0.25), counters or Counters())


def shown(value: float, sequence: int = 0, raw: bool = False, shape: tuple[int, int] = (12, 16)) -> tuple[Image, Frame]:
    status = Status.RAW if raw else Status.OK
    before = np.full(shape, value / 2, np.float32)
    return before, Frame(np.full(shape, value, np.float32), sequence, time.perf_counter_ns(), status=status)


def unpack(message: bytes) -> tuple[dict, np.ndarray, np.ndarray]:
    (length,) = struct.unpack_from("<I", message)
    header = json.loads(message[4 : 4 + length])
    first, second = header["bytes"]
    body = message[4 + length :]
    assert len(body) == first + second
    pair = [cv2.imdecode(np.frombuffer(b, np.uint8), cv2.IMREAD_UNCHANGED) for b in (body[:first], body[first:])]
    return header, pair[0], pair[1]


def put(latest: Latest, before: Image, after: Image, sequence: int) -> None:
    latest.put(before, after, sequence=sequence, at_ms=float(sequence), latency_ms=1.0, late=False, raw=False)


def receive_frame(page: ClientConnection) -> tuple[dict, np.ndarray, np.ndarray]:
    page.send("next")
    message = page.recv(timeout=20)
    assert isinstance(message, bytes)
    return unpack(message)


@pytest.fixture
def viewer():
    made = ViewerSink(port=0)
    made.open(info())
    yield made
    made.close()


def page_of(viewer: ViewerSink) -> ClientConnection:
    return connect(viewer.url.replace("http", "ws") + "ws", compression=None, max_size=None)


# ---- buffer -------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 6), st.integers(1, 6)), max_size=60))
def test_reader_always_gets_the_newest_whole_frame(steps: list[tuple[bool, int, int]]) -> None:
    latest, newest = Latest(), 0
    for write, height, width in steps:
        if write:
            newest += 1
            image = np.full((height, width), newest / 255, np.float32)
            put(latest, image, image, sequence=newest)
        held = latest.take()
        assert held.version == latest.version == newest and held.sequence == newest
        assert (held.before == newest).all() and (held.after == newest).all()


def test_reader_never_sees_a_torn_frame() -> None:
    latest, stop = Latest(), threading.Event()

    def write() -> None:
        sequence = 0
        while not stop.is_set():
            sequence += 1
            image = np.full((200, 200), sequence % 256 / 255, np.float32)
            put(latest, image, image, sequence=sequence)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = [0]
        for _ in range(1500):
            held = latest.take()
            expected = held.sequence % 256
            assert held.version == 0 or ((held.before == expected).all() and (held.after == expected).all())
            seen.append(held.version)
        assert seen == sorted(seen), "an old frame never follows a new one"
    finally:
        stop.set()
        writer.join()


def test_points_since_are_those_missed_and_no_more() -> None:
    latest, image = Latest(), np.zeros((2, 2), np.float32)
    for sequence in range(HISTORY + 50):
        put(latest, image, image, sequence)
    assert [p[0] for p in latest.points_since(HISTORY + 47)] == [HISTORY + 47.0, HISTORY + 48.0, HISTORY + 49.0]
    assert len(latest.points_since(0)) == HISTORY
    assert latest.points_since(latest.version) == []


def test_buffers_are_kept_while_the_size_stays() -> None:
    latest, image = Latest(), np.zeros((8, 8), np.float32)
    for sequence in range(3):
        put(latest, image, image, sequence)
        latest.take()
    held = {id(slot.after) for slot in (latest._back, latest._ready, latest._front)}
    for sequence in range(20):
        put(latest, image, image, sequence)
        latest.take()
    assert {id(slot.after) for slot in (latest._back, latest._ready, latest._front)} == held


# ---- wire ---------------------------------------------------------------------------------------------------------


def test_pictures_cross_the_wire_without_loss(rng: np.random.Generator) -> None:
    for shape in ((1, 1), (7, 5), (240, 321)):
        image = rng.integers(0, 256, shape, np.uint8)
        decoded = cv2.imdecode(np.frombuffer(encode(image), np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(decoded, image)


def test_huge_pictures_are_scaled_down_for_display() -> None:
    decoded = cv2.imdecode(np.frombuffer(encode(np.zeros((5000, 10), np.uint8)), np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded.shape == (MAX_SIDE, 4)


def test_page_gets_description_frames_and_the_end(viewer: ViewerSink) -> None:
    with page_of(viewer) as page:
        described = json.loads(page.recv(timeout=20))
        assert described["source"] == "cine" and described["spacing_mm"] == [0.5, 0.25]
        before, after = shown(0.8, sequence=41, raw=True)
        viewer.present(before, after, late=True)
        header, first, second = receive_frame(page)
        assert header["sequence"] == 41 and header["raw"] and header["late"] and header["shape"] == [12, 16]
        assert set(header["counters"]) >= {"frames_in", "presented", "late", "dropped", "failed", "raw_shown"}
        np.testing.assert_array_equal(first, to_uint8(before))
        np.testing.assert_array_equal(second, to_uint8(after.pixels))
        viewer.present(*shown(0.1, sequence=42), late=False)
        viewer.close()
        last, _, _ = unpack(page.recv(timeout=20))  # unasked, so that the page ends on the true last frame
        assert last["sequence"] == 42
        assert json.loads(page.recv(timeout=20))["ended"] is True
        with pytest.raises(ConnectionClosed):
            page.recv(timeout=20)


def test_no_deadline_is_valid_json() -> None:
    made = ViewerSink(port=0)
    made.open(info(deadline_ms=float("inf")))
    with page_of(made) as page:
        assert json.loads(page.recv(timeout=20))["deadline_ms"] is None
    made.close()


# ---- slow, vanishing and several pages ----------------------------------------------------------------------------


def test_stalled_page_holds_back_nobody_and_catches_up(viewer: ViewerSink) -> None:
    big = (1024, 1024)  # far more than the sockets' buffers, were it sent unasked
    with page_of(viewer) as stalled, page_of(viewer) as lively:
        stalled.recv(timeout=20)
        lively.recv(timeout=20)
        stalled.send("next")  # and never reads it
        for sequence in range(40):
            viewer.present(*shown(0.5, sequence, shape=big), late=False)
            if sequence % 10 == 9:
                assert receive_frame(lively)[0]["sequence"] == sequence
        first, _, _ = unpack(stalled.recv(timeout=20))
        viewer.present(*shown(0.5, 40, shape=big), late=False)
        header, _, _ = receive_frame(stalled)
        assert header["sequence"] == 40, "the newest, not the 30 and more that it missed"
        assert len(first["points"]) + len(header["points"]) == 41, "the strip chart misses none of them"


def test_page_that_vanishes_is_forgotten(viewer: ViewerSink) -> None:
    for _ in range(3):
        page = page_of(viewer)
        page.recv(timeout=20)
        page.send("next")
        page.socket.close()
    patience = time.monotonic() + 20
    while viewer._server._clients and time.monotonic() < patience:
        viewer.present(*shown(0.5), late=False)
        time.sleep(0.01)
    assert viewer._server._clients == 0
    with page_of(viewer) as page:
        page.recv(timeout=20)
        assert receive_frame(page)[0]["version"] > 0


def test_stream_closes_although_a_page_hangs(viewer: ViewerSink) -> None:
    with page_of(viewer) as page:
        page.recv(timeout=20)
        for _ in range(3):
            page.send("next")
        viewer.present(*shown(0.5, shape=(4000, 4000)), late=False)
        viewer.close()
        assert viewer._server is None


def test_size_may_change_and_nonsense_may_arrive(viewer: ViewerSink) -> None:
    with page_of(viewer) as page:
        page.recv(timeout=20)
        for sequence, shape in enumerate([(12, 16), (3, 50), (1, 1)]):
            viewer.present(*shown(0.5, sequence, shape=shape), late=False)
            page.send(b"\x00\xff bytes instead of text")
            assert unpack(page.recv(timeout=20))[2].shape == shape
    with page_of(viewer) as page:
        page.recv(timeout=20)
        page.send("x" * 100_000)
        with pytest.raises(ConnectionClosed):
            while True:
                page.recv(timeout=20)
    viewer.present(*shown(0.5), late=False)


def test_present_without_pages_sends_nothing_and_close_may_repeat(viewer: ViewerSink) -> None:
    viewer.present(*shown(0.5), late=False)
    assert viewer._server._pictures[0] == 0, "nothing is encoded while nobody looks"
    viewer.close()
    viewer.close()


def test_never_opened_viewer_frees_its_port() -> None:
    first = ViewerSink(port=0)
    first.close()
    ViewerSink(port=first.port).close()


# ---- access -------------------------------------------------------------------------------------------------------


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
        ("127.0.0.1:8765", "null", False),
        ("evil@127.0.0.1:8765", "http://evil.example", False),
        ("[broken", None, False),
        ("", None, False),
    ],
)
def test_only_our_own_page_on_this_machine(host: str, origin: str | None, allowed: bool) -> None:
    assert is_local(Headers({"host": host, **({"origin": origin} if origin else {})})) is allowed


def get(url: str, **headers: str) -> tuple[int, Message]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers


def test_foreign_name_gets_neither_page_nor_frames(viewer: ViewerSink) -> None:
    status, headers = get(viewer.url)
    assert status == 200 and "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert get(viewer.url, Host=f"localhost:{viewer.port}")[0] == 200
    assert get(viewer.url, Host="evil.example")[0] == 403
    assert get(viewer.url + "../server.py")[0] == get(viewer.url + "%2e%2e/server.py")[0] == 404
    key = base64.b64encode(bytes(16)).decode()
    asked = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key}
    wire = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "evil.example", **asked}.items())
    with socket.create_connection(("127.0.0.1", viewer.port), timeout=20) as raw:
        raw.sendall(f"GET /ws HTTP/1.1\r\n{wire}\r\n".encode())
        assert raw.recv(64).startswith(b"HTTP/1.1 403")


def test_foreign_origin_is_refused_by_the_real_server(viewer: ViewerSink) -> None:
    with pytest.raises(InvalidStatus), connect(viewer.url.replace("http", "ws") + "ws", origin="http://evil.example"):
        pass


def test_page_names_no_address_but_its_own(viewer: ViewerSink) -> None:
    for path in ("", "style.css", "viewer.js"):
        with urllib.request.urlopen(viewer.url + path, timeout=20) as answer:
            addresses = re.findall(r"\w+://[^/'\"`\s]+", answer.read().decode())
        assert set(addresses) <= {"http://www.w3.org", "ws://${location.host}"}, "the first is SVG's XML namespace"


# ---- user mistakes ------------------------------------------------------------------------------------------------


def test_busy_port_names_itself_and_the_way_out() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(SinkError, match=f"port {port} .*--sink viewer:PORT"):
            ViewerSink(port=port)


@pytest.mark.parametrize("port", [-1, 65536])
def test_impossible_port(port: int) -> None:
    with pytest.raises(UsageError, match=str(port)):
        ViewerSink(port=port)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "example.org", ""])
def test_viewer_is_never_served_to_the_network(host: str) -> None:
    with pytest.raises(UsageError, match="this machine only"):
        ViewerSink(port=0, host=host)


def test_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match="edgerecon\\[stream\\]"):
        ViewerSink(port=0)

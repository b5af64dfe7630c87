"""The viewer's buffer, wire format, several streams, and behaviour towards slow and vanishing pages."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from edgerecon.core.errors import DependencyError, SinkError, UsageError
from edgerecon.core.frame import Colour, Frame, Image, Status, to_uint8
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.viewer import ViewerSink, sink
from edgerecon.stream.sinks.viewer.latest import HISTORY, Latest, Shown
from edgerecon.stream.sinks.viewer.messages import MAX_SIDE, TILE_SIDE, frame, tile
from edgerecon.stream.sinks.web.address import Address


def info(counters: Counters | None = None, deadline_ms: float = 33.3) -> StreamInfo:
    return StreamInfo("cine", "model", "onnxruntime", "fp32", 1 / 30, deadline_ms, (0.5, 0.25), counters or Counters())


def shown(value: float, sequence: int = 0, raw: bool = False, shape: tuple[int, int] = (12, 16)) -> tuple[Image, Frame]:
    status = Status.RAW if raw else Status.OK
    before = np.full(shape, value / 2, np.float32)
    return before, Frame(np.full(shape, value, np.float32), sequence, time.perf_counter_ns(), status=status)


def unpack(message: bytes) -> tuple[dict, np.ndarray, np.ndarray]:
    (length,) = struct.unpack_from("<I", message)
    header = json.loads(message[4 : 4 + length])
    first, second = (int(np.prod(header[key])) for key in ("before", "after"))
    assert len(message) == 4 + length + first + second
    body = np.frombuffer(message, np.uint8, offset=4 + length)
    return header, body[:first].reshape(header["before"]), body[first:].reshape(header["after"])


def put(latest: Latest, before: Image, after: Image, sequence: int) -> None:
    latest.put(
        before, after, sequence=sequence, at_ms=float(sequence), latency_ms=1.0, time_ms=0.0, late=False, raw=False
    )


def receive_frame(page: ClientConnection) -> tuple[dict, np.ndarray, np.ndarray]:
    """Asks until there is one: before it may come the points of others that were missed, or figures without a frame."""
    page.send("frame")
    while isinstance(message := page.recv(timeout=20), str):
        if "counters" in json.loads(message):
            page.send("frame")
    return unpack(message)


def made(port: int = 0, name: str | None = None) -> ViewerSink:
    return ViewerSink(Address("127.0.0.1", port, name))


@pytest.fixture
def viewer():
    sink = made()
    sink.open(info())
    yield sink
    sink.close()


def page_of(viewer: ViewerSink, stream: str = "cine") -> ClientConnection:
    return connect(f"ws://127.0.0.1:{viewer.port}/ws?stream={stream}", compression=None, max_size=None)


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
        writer.join(60)


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
        before, after = (rng.integers(0, 256, shape, np.uint8) for _ in range(2))
        header, first, second = unpack(frame(Shown(7, 3, before=before, after=after), {"frames_in": 9}))
        np.testing.assert_array_equal(first, before)
        np.testing.assert_array_equal(second, after)
        assert header["version"] == 7 and header["shape"] == list(shape) and header["counters"] == {"frames_in": 9}


def test_what_is_drawn_in_colour_crosses_the_wire(rng: np.random.Generator) -> None:
    latest, where = Latest(), np.zeros((7, 5), np.uint8)
    where[2:4] = 255
    flow, drawn = (Colour(rng.integers(0, 256, (7, 5, 3), np.uint8), where) for _ in range(2))
    grey = np.full((7, 5), 0.2, np.float32)
    latest.put(
        grey,
        grey,
        sequence=0,
        at_ms=0,
        latency_ms=1,
        time_ms=0,
        late=False,
        raw=False,
        before_colour=flow,
        after_colour=drawn,
    )
    header, before, after = unpack(frame(latest.take(), {}))
    assert header["shape"] == [7, 5] and header["after"] == [7, 5, 3]
    assert np.array_equal(before[2:4], flow.pixels[2:4]) and np.array_equal(after[2:4], drawn.pixels[2:4])
    assert (after[4:] == 51).all()


def test_huge_pictures_are_scaled_down_and_state_their_size() -> None:
    shown = Shown(1, before=np.zeros((10, 10), np.uint8), after=np.zeros((5000, 10), np.uint8))
    header, _, after = unpack(frame(shown, {}))
    assert after.shape == (MAX_SIDE, 4) and header["shape"] == [5000, 10]
    assert unpack(tile(shown, {}))[2].shape == (TILE_SIDE, 1)


def test_page_gets_description_frames_and_the_end(viewer: ViewerSink) -> None:
    with page_of(viewer) as page:
        described = json.loads(page.recv(timeout=20))
        assert described["source"] == described["name"] == "cine" and described["deadline_ms"] == 33.3
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
    sink = made()
    sink.open(info(deadline_ms=float("inf")))
    with page_of(sink) as page:
        assert json.loads(page.recv(timeout=20))["deadline_ms"] is None
    sink.close()


# ---- slow, vanishing and several pages ----------------------------------------------------------------------------


def test_stalled_page_holds_back_nobody_and_catches_up(viewer: ViewerSink) -> None:
    big = (1024, 1024)  # far more than the sockets' buffers, were it sent unasked
    with page_of(viewer) as stalled, page_of(viewer) as lively:
        stalled.recv(timeout=20)
        lively.recv(timeout=20)
        stalled.send("frame")  # and never reads it
        for sequence in range(40):
            viewer.present(*shown(0.5, sequence, shape=big), late=False)
            if sequence % 10 == 9:
                assert receive_frame(lively)[0]["sequence"] == sequence
        while not isinstance(message := stalled.recv(timeout=20), bytes):
            pass  # points of frames that came before its own
        first = unpack(message)[0]["version"]
        viewer.present(*shown(0.5, 40, shape=big), late=False)
        stalled.send("frame")
        points = json.loads(stalled.recv(timeout=20))["points"]
        header, _, _ = unpack(stalled.recv(timeout=20))
        assert header["sequence"] == 40, "the newest, not the 30 and more that it missed"
        assert len(points) == header["version"] - first - 1, "the strip chart misses none of them"


def test_page_that_vanishes_is_forgotten(viewer: ViewerSink) -> None:
    for _ in range(3):
        page = page_of(viewer)
        page.recv(timeout=20)
        page.send("frame")
        page.socket.close()
    patience = time.monotonic() + 120
    while viewer._channel.pages and time.monotonic() < patience:
        viewer.present(*shown(0.5), late=False)
        time.sleep(0.01)
    assert viewer._channel.pages == 0
    with page_of(viewer) as page:
        page.recv(timeout=20)
        assert receive_frame(page)[0]["version"] > 0


def test_stream_closes_although_a_page_hangs(viewer: ViewerSink) -> None:
    with page_of(viewer) as page:
        page.recv(timeout=20)
        for _ in range(3):
            page.send("frame")
        viewer.present(*shown(0.5, shape=(4000, 4000)), late=False)
        viewer.close()
        assert viewer._site is None


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


def test_without_pages_nothing_is_sent_and_close_may_repeat(viewer: ViewerSink) -> None:
    viewer.present(*shown(0.5), late=False)
    assert viewer._channel._made == {}, "nothing is packed while nobody looks"
    viewer.close()
    viewer.close()


def test_never_opened_viewer_frees_its_port() -> None:
    first = made()
    first.close()
    made(first.port).close()


# ---- several streams, and pages that stand still ------------------------------------------------------------------


def test_streams_of_a_process_share_a_port_and_end_alone(viewer: ViewerSink) -> None:
    second, third = made(viewer.port), made(viewer.port, "bed 3")
    second.open(info())
    third.open(info())
    address = f"http://127.0.0.1:{viewer.port}"
    assert httpx.get(f"{address}/streams", timeout=120).json() == {"streams": ["cine", "cine 2", "bed 3"]}
    with page_of(viewer) as page, page_of(third, "bed%203") as other:
        page.recv(timeout=20)
        assert json.loads(other.recv(timeout=20))["name"] == "bed 3"
        viewer.present(*shown(0.2, sequence=1), late=False)
        third.present(*shown(0.9, sequence=2), late=False)
        assert receive_frame(page)[0]["sequence"] == 1 and receive_frame(other)[0]["sequence"] == 2
        third.close()
        assert isinstance(other.recv(timeout=20), bytes) and json.loads(other.recv(timeout=20))["ended"] is True
        viewer.present(*shown(0.2, sequence=3), late=False)
        assert receive_frame(page)[0]["sequence"] == 3
    assert httpx.get(f"{address}/streams", timeout=120).json() == {"streams": ["cine", "cine 2"]}
    with pytest.raises(InvalidStatus), page_of(viewer, "nobody"):
        pass
    second.close()


def test_page_without_new_frames_gets_the_counters(viewer: ViewerSink) -> None:
    with page_of(viewer) as page:
        page.recv(timeout=20)
        viewer.present(*shown(0.5), late=False)
        receive_frame(page)
        page.send("frame")
        figures = json.loads(page.recv(timeout=20))
        assert figures["version"] == 1 and figures["points"] == [] and "frames_in" in figures["counters"]


def test_frozen_page_costs_no_pictures_and_the_grid_small_ones(viewer: ViewerSink) -> None:
    with page_of(viewer) as page:
        page.recv(timeout=20)
        viewer.present(*shown(0.5, shape=(800, 640)), late=False)
        page.send("figures")
        figures = json.loads(page.recv(timeout=20))
        assert len(figures["points"]) == 1
        viewer.present(*shown(0.5, shape=(800, 640)), late=False)
        page.send("tile")
        header, before, after = unpack(page.recv(timeout=20))
        assert before.size == 0 and after.shape == (320, 256) and header["shape"] == [800, 640]


# ---- user mistakes ------------------------------------------------------------------------------------------------


def test_busy_port_names_itself_and_the_way_out() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(SinkError, match=f"port {port} .*--sink viewer:PORT"):
            made(port)


@pytest.mark.parametrize("port", [-1, 65536])
def test_impossible_port(port: int) -> None:
    with pytest.raises(UsageError, match=str(port)):
        made(port)


def test_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match="edgerecon\\[stream\\]"):
        made()

"""A sink's thread that ends by whatever exception is said and counted, and nobody takes a dead sink for a live one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.errors import SinkError
from edgerecon.core.frame import Frame, Status
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.loop.fanout import Fanout
from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sinks.base import Sink, StreamInfo
from edgerecon.stream.sinks.viewer.server import ViewerSite
from edgerecon.stream.sinks.web.site import Site
from tests.support.stream_fakes import until

PIXELS = np.zeros((8, 8), np.float32)
KINDS = {
    "SystemExit": SystemExit,
    "KeyboardInterrupt": KeyboardInterrupt,
    "MemoryError": MemoryError,
    "KeyError": KeyError,
}
Opened = Callable[[Sink], tuple[Fanout, Counters]]
kinds = pytest.mark.parametrize("kind", KINDS)


def raiser(kind: str) -> Callable[..., None]:
    def fail(*arguments: object, **options: object) -> None:
        raise KINDS[kind]("lost")

    return fail


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Opens a sink as a stream does, beside nothing else."""
    fanouts = []

    def open_(sink: Sink) -> tuple[Fanout, Counters]:
        fanout, counters = Fanout([sink], defer=True), Counters()
        fanouts.append(fanout)
        fanout.open(StreamInfo("cine", "none", "none", "fp32", 0.04, 40.0, None, counters))
        return fanout, counters

    yield open_
    for fanout in fanouts:
        fanout.close()


def present_until_lost(fanout: Fanout, counters: Counters, status: Status = Status.OK) -> str:
    numbers = iter(range(10**6))

    def lost() -> int:
        fanout.present(PIXELS, Frame(PIXELS, next(numbers), 0, None, status), False)
        return counters.sinks_lost

    until(lost)
    return fanout.failures[0]


@kinds
@pytest.mark.parametrize("name", ["out.h5", "out.zarr"])
def test_recording_thread(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    kind: str,
    opened: Opened,
) -> None:
    sink = open_sink(str(tmp_path / name))
    monkeypatch.setattr(sink._store, "append", raiser(kind))  # type: ignore[attr-defined]
    said = present_until_lost(*opened(sink))
    assert "failed" in said and "\n" not in said and not (tmp_path / name).exists()


@kinds
def test_black_box_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, opened: Opened) -> None:
    monkeypatch.setattr("edgerecon.stream.sinks.black_box._write", raiser(kind))
    said = present_until_lost(*opened(open_sink(f"black-box:{tmp_path}")), Status.RAW)
    assert "black-box" in said and "lost" in said


def test_black_box_thread_that_fails_at_the_end_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = open_sink(f"black-box:{tmp_path}")
    box.open(StreamInfo("cine", "none", "none", "fp32", 0.04, 40.0, None, Counters()))
    monkeypatch.setattr(box, "_look", raiser("SystemExit"))
    with pytest.raises(SinkError, match="SystemExit"):
        box.close()


@kinds
@pytest.mark.parametrize(("word", "site"), [("viewer", ViewerSite), ("metrics", Site)])
def test_web_server_thread_cuts_off_who_looks(
    monkeypatch: pytest.MonkeyPatch, word: str, site: type, kind: str, opened: Opened
) -> None:
    broken = asyncio.Event()

    async def tick(self: Site) -> None:
        await broken.wait()
        raise KINDS[kind]("lost")

    monkeypatch.setattr(site, "tick", tick)
    sink = open_sink(f"{word}:0")
    fanout, counters = opened(sink)
    with socket.create_connection(("127.0.0.1", sink.port), timeout=60) as page:  # type: ignore[attr-defined]
        until(lambda: sink._site._listener.inside)  # type: ignore[attr-defined]
        sink._site.loop.call_soon_threadsafe(broken.set)  # type: ignore[attr-defined]
        assert page.recv(1) == b"", "it is closed"
    said = present_until_lost(fanout, counters)
    assert f"'{word}' failed" in said and "lost" in said
    open_sink(f"{word}:{sink.port}").close()  # type: ignore[attr-defined]  # its port is free


def test_web_server_that_cannot_begin_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ViewerSite, "app", raiser("MemoryError"))
    sink = open_sink("viewer:0")
    with pytest.raises(SinkError, match="'viewer' failed: lost"):
        sink.open(StreamInfo("cine", "none", "none", "fp32", 0.04, 40.0, None, Counters()))
    sink.close()

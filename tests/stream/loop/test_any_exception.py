"""Whatever is raised at whatever edge of a stream: every frame is accounted for, and the report says what happened."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from edgerecon.core.errors import EdgereconError, EngineError, SinkError, SourceError
from edgerecon.core.frame import Image
from edgerecon.stream.filters.chain import FilterSettings
from edgerecon.stream.filters.engine import FilteredEngine
from edgerecon.stream.filters.filter import ChosenFilter, stream_filters
from edgerecon.stream.filters.source import filtered
from edgerecon.stream.loop.report import StreamReport
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sources.base import Capture
from tests.support.stream_fakes import FakeEngine, KeepSink, ListSource, LiveSource, ramp

FRAMES, AT = 9, 3


class PanicException(BaseException):
    """What a library in Rust raises (pyo3_runtime.PanicException)."""


class Unspeakable(Exception):
    """Its text and its representation raise."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class UnspeakableExit(BaseException):
    def __str__(self) -> str:
        raise SystemExit(3)

    __repr__ = __str__


class Textless(Exception):
    def __str__(self) -> str:
        return None  # type: ignore[return-value]


KINDS: dict[str, Callable[[], BaseException]] = {
    "RuntimeError": lambda: RuntimeError("lost the device"),
    "OSError": lambda: OSError(5, "Input/output error"),
    "MemoryError": MemoryError,
    "RecursionError": lambda: RecursionError("too deep"),
    "AssertionError": AssertionError,
    "StopIteration": StopIteration,
    "EngineError": lambda: EngineError("two\nlines"),
    "SystemExit": lambda: SystemExit(1),
    "KeyboardInterrupt": KeyboardInterrupt,
    "GeneratorExit": GeneratorExit,
    "CancelledError": asyncio.CancelledError,
    "PanicException": lambda: PanicException("called `Option::unwrap()` on a `None` value"),
    "Unspeakable": Unspeakable,
    "UnspeakableExit": UnspeakableExit,
    "Textless": Textless,
}
kinds = pytest.mark.parametrize("kind", KINDS)


def run(policy: str = "every", **parts: object) -> StreamReport:
    """Stream nine frames through a good engine and a good sink, or through what a test puts in their place."""
    given = {"source": ListSource(ramp(FRAMES)), "engine": FakeEngine(), "sinks": [KeepSink()], **parts}
    report = stream(given["source"], given["engine"], given["sinks"], policy=policy, pace=False)  # type: ignore[arg-type]
    assert report.frames_in == report.presented + report.dropped + report.failed
    return report


class Raises:
    """Raises an exception of a kind in the call of a number, and in no other."""

    def __init__(self, kind: str, at: int = AT) -> None:
        self._kind, self._at, self._calls = kind, at, 0

    def __call__(self, *arguments: object) -> None:
        self._calls += 1
        if self._calls == self._at + 1:
            raise KINDS[self._kind]()


class RaisingSource(ListSource):
    def __init__(self, kind: str) -> None:
        super().__init__(ramp(FRAMES))
        self._act = Raises(kind)
        self.given: list[Capture] = []

    def __iter__(self) -> RaisingSource:
        return self

    def __next__(self) -> Capture:
        self._act()
        self.given.append(self._items[len(self.given)])  # type: ignore[arg-type]
        return self.given[-1]

    def frames(self) -> RaisingSource:  # type: ignore[override]
        return self


@kinds
def test_source(kind: str) -> None:
    sink = KeepSink()
    report = run(source=RaisingSource(kind), sinks=[sink])
    assert report.frames_in == AT and sink.closed == 1
    if kind == "StopIteration":
        assert report.error is None, "it is how an iterator ends"
    else:
        assert report.error is not None and report.error.startswith("list failed: ")


@kinds
def test_source_that_gives_nothing_is_an_error_of_one_line(kind: str) -> None:
    source = RaisingSource(kind)
    source._act = Raises(kind, at=0)
    sink = KeepSink()
    with pytest.raises(EdgereconError) as caught:
        stream(source, FakeEngine(), [sink])
    assert isinstance(caught.value, SourceError | EngineError) and sink.info is None


class RaisingImage:
    """An image of a library whose conversion to an array fails."""

    shape = (8, 12)

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __array__(self, *arguments: object, **options: object) -> np.ndarray:
        raise KINDS[self._kind]()


@kinds
@pytest.mark.parametrize("edge", ["__array__", "torn", "first"])
def test_capture(kind: str, edge: str) -> None:
    captures = ramp(FRAMES)
    torn = Capture(captures[AT].image, torn=Raises(kind, at=0))  # type: ignore[arg-type]
    captures[0 if edge == "first" else AT] = torn if edge == "torn" else Capture(RaisingImage(kind))  # type: ignore[arg-type]
    report = run(source=ListSource(captures))
    assert report.frames_in == FRAMES and report.failed == 1
    assert next(iter(report.failures)).startswith("unusable frame: ")
    assert (report.error is not None) == (not isinstance(KINDS[kind](), Exception))


@kinds
@pytest.mark.parametrize("edge", ["makes", "runs"])
@pytest.mark.parametrize("place", ["before", "after"])
def test_filter(kind: str, edge: str, place: str) -> None:
    act = Raises(kind, at=0 if edge == "makes" else AT)

    def make(**values: float) -> Callable[[Image], Image]:
        if edge == "makes":
            act()
        return lambda image: (act() if edge == "runs" else None) or image

    settings = FilterSettings([ChosenFilter(replace(stream_filters()["median"], make=make), {})])
    if place == "after":
        report = run(engine=FilteredEngine(FakeEngine(), settings))
        assert report.frames_in == FRAMES and report.failed == 0
        assert report.presented == FRAMES and (edge == "makes" or report.raws == {"the engine failed": 1})
    elif kind == "KeyboardInterrupt" and edge == "makes":
        with pytest.raises(EdgereconError):  # it ends the source before its first frame
            run(source=filtered(ListSource(ramp(FRAMES)), settings))
    else:
        report = run(source=filtered(ListSource(ramp(FRAMES)), settings))
        if kind == "KeyboardInterrupt":
            assert report.error is not None
        else:
            assert report.frames_in == FRAMES and report.failed == 1
            assert next(iter(report.failures)).startswith("the filter median failed: ")


def test_source_that_gives_something_else_than_captures() -> None:
    captures = ramp(FRAMES)
    captures[AT] = None  # type: ignore[call-overload]
    report = run(source=ListSource(captures))
    assert report.frames_in == FRAMES and report.failed == 1 and report.error is None


class RaisingEngine(FakeEngine):
    def __init__(self, edge: str, kind: str) -> None:
        super().__init__()
        self._edge, self._raise = edge, Raises(kind, at=AT + 2 if edge == "run" else 1)

    def run(self, frame: Image, out: Image | None = None) -> Image:
        if self._edge == "run":
            self._raise()
        return super().run(frame, out)

    def reset(self) -> None:
        super().reset()
        if self._edge == "reset":
            self._raise()


@kinds
@pytest.mark.parametrize("edge", ["run", "reset", "first call", "output"])
def test_engine(kind: str, edge: str) -> None:
    engine = RaisingEngine(edge, kind)
    if edge == "first call":
        engine.run = Raises(kind, at=0)  # type: ignore[assignment]  # gives None from then on
    elif edge == "output":
        engine.run = lambda frame, out=None: RaisingImage(kind) if out is not None else frame.copy()  # type: ignore[assignment]
    report = run(engine=engine)
    assert report.failed == 0 and report.presented == FRAMES
    if edge in ("run", "reset"):
        assert report.raws == {"the engine failed": 1}
        assert (report.error is not None) == (not isinstance(KINDS[kind](), Exception))


@kinds
@pytest.mark.parametrize(
    ("policy", "beside"),
    [("latest", True), ("every", True), ("every", False)],
    ids=["deferred", "beside another", "alone"],
)
@pytest.mark.parametrize("edge", ["open", "present", "close"])
def test_sink(kind: str, policy: str, beside: bool, edge: str) -> None:
    bad, good = KeepSink(name="bad"), KeepSink(name="good")
    setattr(bad, edge, Raises(kind, at=0))
    if edge == "open":
        with pytest.raises(Exception) as caught:
            stream(ListSource(ramp(3)), None, [good, bad] if beside else [bad], policy=policy)  # type: ignore[arg-type]
        assert isinstance(caught.value, type(KINDS[kind]()) if isinstance(KINDS[kind](), Exception) else SinkError)
        assert good.closed == beside
        return
    report = run(policy, sinks=[bad, good] if beside else [bad], engine=None)
    assert report.error is not None and report.error.startswith("bad failed: ")
    assert report.counts["sinks_lost"] == 1
    if beside:
        assert good.closed == 1 and len(good.frames) == report.presented
        assert report.frames_in == FRAMES


@kinds
def test_close_of_a_live_source(kind: str) -> None:
    class Closing(LiveSource):
        def close(self) -> None:
            super().close()
            raise KINDS[kind]()

    source, stop = Closing(), threading.Event()
    source.give(ramp(1)[0])
    report = stream(source, None, [KeepSink(lambda call: stop.set())], stop=stop)
    assert report.presented == report.frames_in == 1 and report.interrupted


@kinds
def test_engine_that_is_opened_anew(kind: str) -> None:
    """One that cannot be opened, then one that fails when it is closed."""
    tries: list[int] = []

    class Closing(FakeEngine):
        def close(self) -> None:
            raise KINDS[kind]()

    def reopen(spec: object) -> FakeEngine:
        tries.append(1)
        if len(tries) == 1:
            raise KINDS[kind]()
        return Closing()

    def always(call: int) -> None:
        raise RuntimeError("lost the device")

    report = stream(ListSource(ramp(20)), FakeEngine(always), [], policy="every", pace=False, reopen=reopen)  # type: ignore[arg-type]
    assert report.frames_in == report.presented == 20 and tries

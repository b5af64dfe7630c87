"""Sources, engines and sinks that do what a test asks of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from queue import Queue

import numpy as np

from edgerecon.core.frame import Frame, Image
from edgerecon.core.pose import Plane, Pose, Transform
from edgerecon.engines.base import EngineSpec
from edgerecon.modelfile.spec import ModelSpec
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sources.base import Capture


class ListSource:
    """Gives the listed captures; an exception in the list is raised in its turn."""

    live: bool = False
    name = "list"
    spacing_mm: tuple[float, float] | None = (0.2, 0.1)

    def __init__(self, items: Iterable[Capture | Exception], period_s: float | None = 0.001) -> None:
        self._items = list(items)
        self.period_s = period_s
        self.length: int | None = len(self._items)

    def frames(self) -> Iterator[Capture]:
        for item in self._items:
            if isinstance(item, Exception):
                raise item
            yield item

    def close(self) -> None: ...


class GatedSource(ListSource):
    """Calls ``gate(index)`` before it gives a frame, and once after the last."""

    def __init__(self, items: Iterable[Capture | Exception], gate: Callable[[int], None]) -> None:
        super().__init__(items)
        self._gate = gate

    def frames(self) -> Iterator[Capture]:
        for index, capture in enumerate(super().frames()):
            self._gate(index)
            yield capture
        self._gate(len(self._items))


class LiveSource:
    """Gives what ``give`` was called with, when it comes; waits for it, until ``end`` or ``close``."""

    live = True
    name = "live"
    period_s: float | None = 0.001
    spacing_mm: tuple[float, float] | None = None
    length: int | None = None

    def __init__(self) -> None:
        self._captures: Queue[Capture | None] = Queue()
        self.closed = False

    def give(self, capture: Capture) -> None:
        self._captures.put(capture)

    def end(self) -> None:
        self._captures.put(None)

    def frames(self) -> Iterator[Capture]:
        while (capture := self._captures.get()) is not None:
            yield capture

    def close(self) -> None:
        self.closed = True
        self.end()


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 300
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.002)


class HangClock:
    """What the watchdog over engines looks at: time goes on as usual, and by an hour where a call hangs.

    Whatever else takes its time on a loaded machine is no hang then.
    """

    HANG_S = 1000.0
    """To be given to the stream."""

    def __init__(self) -> None:
        self._ahead_s = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self._ahead_s

    def hang(self, answer: threading.Event) -> bool:
        """Hang until the answer comes."""
        self._ahead_s += 3600.0
        return answer.wait(300)


def ramp(count: int, shape: tuple[int, int] = (8, 12)) -> list[Capture]:
    """Frames whose grey level is their index."""
    return [Capture(np.full(shape, index % 256, np.uint8)) for index in range(count)]


class FakeEngine:
    """Inverts the frame (so that a reconstruction differs from its capture), after ``act(call number)``."""

    def __init__(self, act: Callable[[int], None] = lambda call: None, scale: int = 1) -> None:
        self.spec = EngineSpec(ModelSpec("fake", "none", scale, 1, ""), "fake", "fp32", 1)
        self._act = act
        self.calls = 0
        self.resets_before: list[int] = []

    def run(self, frame: Image, out: Image | None = None) -> Image:
        call, self.calls = self.calls, self.calls + 1
        if call >= 2:  # the first two are the stream's warm-up
            self._act(call - 2)
        result = 1 - np.kron(frame, np.ones((self.spec.model.scale,) * 2, np.float32))
        if out is None:
            return result
        np.copyto(out, result)
        return out

    def reset(self) -> None:
        self.resets_before.append(self.calls - 2)

    def close(self) -> None: ...


class KeepSink:
    """Keeps what it is shown; ``act(call number)`` may raise or wait."""

    def __init__(self, act: Callable[[int], None] = lambda call: None, name: str = "keep") -> None:
        self.name = name
        self._act = act
        self.info: StreamInfo | None = None
        self.befores: list[Image] = []
        self.frames: list[Frame] = []
        self.late: list[bool] = []
        self.threads: set[int] = set()
        self.closed = 0

    def open(self, info: StreamInfo) -> None:
        self.threads.add(threading.get_ident())
        self.info = info
        self.opened_ns = time.perf_counter_ns()

    def present(self, before: Image, after: Frame, late: bool) -> None:
        self.threads.add(threading.get_ident())
        self._act(len(self.frames))
        self.befores.append(before.copy())
        self.frames.append(replace(after, pixels=after.pixels.copy(), pose=None, time_s=None))
        self.late.append(late)

    def close(self) -> None:
        self.threads.add(threading.get_ident())
        self.closed += 1


def pose_at(number: int) -> Pose:
    """Another for every number; the tracker does not see its tool in every third frame."""
    rng = np.random.default_rng(number)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    tool = np.eye(4)
    tool[:3] = rng.normal(size=(3, 4))
    probe = Transform("ProbeToTracker", tool, "OK" if number % 3 else "OUT_OF_VIEW", 12.25 + number)
    plane = Plane(turn * [0.1, 0.2, 1.0], rng.uniform(-300, 300, 3), "LPS" if number % 2 else "RAS")
    return Pose(plane, (probe,), 12.5 + number)


def posed_frame(number: int, pose: Pose | None, shape: tuple[int, int], spacing_mm=None) -> Frame:
    """Of one grey level, its number."""
    return Frame(np.full(shape, number / 255, np.float32), number, time.perf_counter_ns(), spacing_mm, pose=pose)

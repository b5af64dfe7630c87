"""A million frames as fast as they go, with a fault every thousand: nothing unaccounted for, nothing leaked.

Small frames, so that the loop does all the work. Faults come in turn: of the source (unreadable, empty, NaN, another
size, another bit depth, frames lost, a clock that goes backwards, an image or a check of it that raises SystemExit), of
the engine (exception, one whose text raises, SystemExit, NaN, wrong shape, out of memory, a call that does not return,
and one after which the first call of the next engine does not return either) and of a sink (one that fails and comes
back, by SystemExit too, or hangs while it is closed). At the end the source raises SystemExit and a sink hangs. Every
one must leave its mark in the right counter, and memory, threads and descriptors must end where they were after the
first frames.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edgerecon.core.frame import Frame, Image
from edgerecon.engines.base import Engine, EngineSpec
from edgerecon.modelfile.spec import ModelSpec
from edgerecon.stream.loop.report import StreamReport
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sources.base import Capture

SHAPE = (32, 48)
SOURCE_FAULTS = ("unreadable", "empty", "nan", "resized", "deeper", "gap", "clock", "image exits", "check exits")
ENGINE_FAULTS = (
    "exception",
    "unspeakable",
    "exit",
    "nan output",
    "wrong shape",
    "no memory",
    "hang",
    "hang and hang again",
)
SINK_FAULTS = ("sink", "sink exits", "sink hangs when closed")
FAULTS = (*SOURCE_FAULTS, *ENGINE_FAULTS, *SINK_FAULTS)
GAP = 7
HANG_S = 2.0


class Unspeakable(Exception):
    """Its text raises."""

    def __str__(self) -> str:
        raise RuntimeError


def leave(*arguments: object, **options: object) -> bool:
    raise SystemExit("a library wants to leave")


class Plan:
    """Which fault is to come: the next one ``every`` frames after the last one was met, and none after frame ``last``.

    Attributes:
        came: how often each was met. engine_away: set while an engine hangs, until another has run a frame.
        next_hangs: whether the next engine that is opened hangs in its first call. hung: calls that did.
    """

    def __init__(self, every: int, last: int) -> None:
        self._every, self._last = every, last
        self._due = every - 1
        self._next: str | None = None
        self.came: Counter[str] = Counter()
        self.engine_away = threading.Event()
        self.next_hangs = False
        self.hung = 0

    def hang(self) -> None:
        """Do not return for three watchdog times."""
        self.hung += 1
        time.sleep(3 * HANG_S)

    def frame(self, number: int) -> None:
        """Call before frame ``number`` is given."""
        if self._next is None and self._due <= number <= self._last:
            self._next = FAULTS[sum(self.came.values()) % len(FAULTS)]
            self._due = number + self._every

    def take(self, kinds: tuple[str, ...]) -> str | None:
        fault = self._next
        if fault not in kinds:
            return None
        self._next = None
        self.came[fault] += 1
        return fault


class FaultySource:
    """Grey frames, one fault where the plan says so; raises SystemExit in the end."""

    name = "soak"
    live = False
    period_s: float | None = 0.001
    spacing_mm: tuple[float, float] | None = None
    length: int | None = None

    def __init__(self, plan: Plan, frames: int) -> None:
        self._plan, self._frames = plan, frames
        good = np.full(SHAPE, 99, np.uint8)
        exits = type("Exits", (), {"shape": SHAPE, "__array__": leave})()
        self._captures = {
            "unreadable": Capture(None, "torn"),
            "empty": Capture(np.empty((0, 4), np.uint8)),
            "nan": Capture(np.full(SHAPE, np.nan, np.float32)),
            "resized": Capture(np.full((20, 20), 9, np.uint8)),
            "deeper": Capture(np.full(SHAPE, 999, np.uint16)),
            "gap": Capture(good, gap=GAP),
            "clock": Capture(good, captured_ns=time.perf_counter_ns() - 10**12),
            "image exits": Capture(exits),
            "check exits": Capture(good, torn=leave),
        }
        self._good = Capture(good)

    def frames(self) -> Iterator[Capture]:
        for number in range(self._frames):
            self._plan.frame(number)
            fault = self._plan.take(SOURCE_FAULTS)
            if self._plan.engine_away.is_set():
                time.sleep(0.001)  # so that the time an engine takes to be replaced is not most of the frames
            yield self._captures[fault] if fault else self._good
        leave()

    def close(self) -> None: ...


class FaultyEngine:
    """Copies the frame, one fault where the plan says so. Calls that hang come back after three watchdog times."""

    def __init__(self, plan: Plan) -> None:
        self.spec = EngineSpec(ModelSpec("soak", "none", 1, 1, ""), "soak", "fp32", 1)
        self._plan = plan
        self._first_hangs, plan.next_hangs = plan.next_hangs, False
        self._calls = -2  # the warm-up

    def run(self, frame: Image, out: Image | None = None) -> Image:
        self._calls += 1
        fault = self._plan.take(ENGINE_FAULTS) if self._calls > 0 else None
        self._raise(fault)
        if fault == "wrong shape":
            return np.zeros((3, 3), np.float32)
        if fault in ("hang", "hang and hang again"):
            self._plan.engine_away.set()
            self._plan.next_hangs = fault != "hang"
            self._plan.hang()
        elif self._calls == -1 and self._first_hangs:
            self._plan.hang()
        elif self._calls > 0:
            self._plan.engine_away.clear()
        if out is None:
            return frame.copy()
        np.copyto(out, frame)
        if fault == "nan output":
            out[0, 0] = np.nan
        return out

    def _raise(self, fault: str | None) -> None:
        if fault == "exception":
            raise RuntimeError("a fault of the engine")
        if fault == "unspeakable":
            raise Unspeakable
        if fault == "no memory":
            raise MemoryError
        if fault == "exit":
            leave()

    def reset(self) -> None: ...

    def close(self) -> None: ...


class FaultySink:
    """Fails where the plan says so, and can be opened again."""

    name, quick, reopens = "faulty", True, True

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._hangs = False

    def open(self, info: StreamInfo) -> None: ...

    def present(self, before: Image, after: Frame, late: bool) -> None:
        fault = self._plan.take(SINK_FAULTS)
        if fault is None:
            return
        self._hangs = fault == "sink hangs when closed"
        if fault == "sink exits":
            leave()
        raise ConnectionResetError("the other side has gone")

    def close(self) -> None:
        hangs, self._hangs = self._hangs, False
        if hangs:
            time.sleep(3 * HANG_S)


class HangingSink:
    """Takes every frame, and does not close until it is let go."""

    name, quick = "hanging", True

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def open(self, info: StreamInfo) -> None: ...

    def present(self, before: Image, after: Frame, late: bool) -> None: ...

    def close(self) -> None:
        self.let_go.wait()


class Census:
    """A sink that counts frames, and now and then memory, threads and descriptors."""

    name, quick = "census", True

    def __init__(self, warm: int) -> None:
        self._warm = warm
        self.frames = 0
        self.first: dict[str, float] = {}
        self.most: dict[str, float] = {}

    def open(self, info: StreamInfo) -> None: ...

    def present(self, before: Image, after: Frame, late: bool) -> None:
        self.frames += 1
        if self.frames == self._warm:
            self.first = self.most = usage()
        elif self.frames > self._warm and self.frames % 997 == 0:
            self.most = {name: max(value, self.most[name]) for name, value in usage().items()}

    def close(self) -> None: ...


def usage() -> dict[str, float]:
    """Memory, and threads and descriptors."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        rss = int(statm.read_text().split()[1]) * resource.getpagesize()
    else:
        rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    descriptors = len(os.listdir("/dev/fd")) if Path("/dev/fd").exists() else 0
    return {"rss_mb": rss / 1e6, "threads": threading.active_count(), "descriptors": descriptors}


def soak(frames: int, every: int = 1000) -> dict[str, object]:
    """Stream, and compare every count with what was injected.

    Returns:
        The figures, and ``wrong``: what does not agree, empty when all is well.
    """
    # Frames come at 1 ms at least while an engine is away: it is back before they end.
    plan, census, hanging = Plan(every, frames - round(3000 * HANG_S)), Census(min(20_000, frames // 3)), HangingSink()
    before, began = usage(), time.monotonic()

    def reopen(spec: EngineSpec) -> Engine:
        return FaultyEngine(plan)

    report = stream(
        FaultySource(plan, frames),
        FaultyEngine(plan),
        [census, FaultySink(plan), hanging],
        policy="every",
        pace=False,
        hang_s=HANG_S,
        reopen=reopen,
    )
    seconds = time.monotonic() - began
    hanging.let_go.set()
    time.sleep(4 * HANG_S)  # the last call that hung comes back
    after, came = usage(), plan.came
    growth = {name: census.most[name] - census.first[name] for name in census.first}
    expected = _expected(report, frames, plan) | {
        "threads left": (after["threads"] - before["threads"], 0),
        "descriptors left": (after["descriptors"] - before["descriptors"], 0),
        "memory within 10 MB": (growth.get("rss_mb", 0.0) <= 10.0, True),
    }
    return {
        "frames": frames,
        "fault_every": every,
        "seconds": seconds,
        "faults": dict(came),
        "presented": report.presented,
        "raw_shown": report.raw_shown,
        "replaced": report.counts["replaced"],
        "sinks_back": report.counts["sinks_back"],
        "growth_after_warm_up": growth,
        "usage_at_warm_up": census.first,
        "counts": {name: got for name, (got, _) in expected.items()},
        "wrong": [f"{name}: {got}, not {want}" for name, (got, want) in expected.items() if got != want],
        "host": report.host,
    }


def _expected(report: StreamReport, frames: int, plan: Plan) -> dict[str, tuple[object, object]]:
    """Every count, and what it is to be."""
    came = plan.came
    engine_failed = sum(came[kind] for kind in ("exception", "unspeakable", "exit", "no memory"))
    error, counts, raws = report.error or "", report.counts, report.raws
    said = ("soak failed: SystemExit", "a frame of the source raised SystemExit", "soak raised SystemExit")
    return {
        "frames_in": (report.frames_in, frames),
        "unaccounted": (report.frames_in - report.presented - report.dropped - report.failed, 0),
        "failed": (report.failed, sum(came[kind] for kind in ("unreadable", "empty", "image exits", "check exits"))),
        "gaps": (report.gaps, GAP * came["gap"]),
        "clock_faults": (counts["clock_faults"], came["clock"]),
        "hung": (counts["hung"], plan.hung),
        "nan": (raws.get("unusable values", 0), came["nan"]),
        "engine failed": (raws.get("the engine failed", 0), engine_failed),
        "nan output": (raws.get("unusable output", 0), came["nan output"]),
        "wrong shape": (raws.get("wrong output shape", 0), came["wrong shape"]),
        "sinks_lost": (counts["sinks_lost"], sum(came[kind] for kind in SINK_FAULTS) + 1),
        "said": ([text for text in (*said, "hanging was not closed within") if text not in error], []),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--every", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    result = soak(arguments.frames, arguments.every)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps({name: value for name, value in result.items() if name != "host"}, indent=2))  # noqa: T201
    if result["wrong"]:
        raise SystemExit("; ".join(result["wrong"]))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()

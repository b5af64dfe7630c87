"""A million frames as fast as they go, with a fault every thousand: nothing unaccounted for, nothing leaked.

Small frames, so that the loop does all the work. Faults come in turn: of the source (unreadable, empty, NaN, another
size, another bit depth, frames lost, a clock that goes backwards), of the engine (exception, NaN, wrong shape, out of
memory, a call that does not return) and of a sink (one that fails and comes back). Every one must leave its mark in the
right counter, and memory, threads and descriptors must end where they were after the first frames.
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

from edgerecon.engines.base import Engine, EngineSpec, ModelSpec
from edgerecon.frame import Frame, Image
from edgerecon.stream.loop import stream
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sources.base import Capture

SHAPE = (32, 48)
SOURCE_FAULTS = ("unreadable", "empty", "nan", "resized", "deeper", "gap", "clock")
ENGINE_FAULTS = ("exception", "nan output", "wrong shape", "no memory", "hang")
FAULTS = (*SOURCE_FAULTS, *ENGINE_FAULTS, "sink")
GAP = 7
HANG_S = 0.25


class Plan:
    """Which fault comes with which frame, and which of them came."""

    def __init__(self, frames: int, every: int) -> None:
        self.faults = {n: FAULTS[n // every % len(FAULTS)] for n in range(every - 1, frames, every)}
        self.came: Counter[str] = Counter()
        self.now: str | None = None

    def take(self, kinds: tuple[str, ...]) -> str | None:
        fault, self.now = (self.now, None) if self.now in kinds else (None, self.now)
        if fault is not None:
            self.came[fault] += 1
        return fault


class FaultySource:
    """Grey frames without end, one fault where the plan says so."""

    name = "soak"
    live = False
    period_s: float | None = 0.001
    spacing_mm: tuple[float, float] | None = None
    length: int | None = None

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        good = np.full(SHAPE, 99, np.uint8)
        self._captures = {
            "unreadable": Capture(None, "torn"),
            "empty": Capture(np.empty((0, 4), np.uint8)),
            "nan": Capture(np.full(SHAPE, np.nan, np.float32)),
            "resized": Capture(np.full((20, 20), 9, np.uint8)),
            "deeper": Capture(np.full(SHAPE, 999, np.uint16)),
            "gap": Capture(good, gap=GAP),
            "clock": Capture(good, captured_ns=time.perf_counter_ns() - 10**12),
        }
        self._good = Capture(good)

    def frames(self) -> Iterator[Capture]:
        number = 0
        while True:
            self._plan.now = self._plan.faults.get(number, self._plan.now)
            fault = self._plan.take(SOURCE_FAULTS)
            yield self._captures[fault] if fault else self._good
            number += 1

    def close(self) -> None: ...


class FaultyEngine:
    """Copies the frame, one fault where the plan says so. Calls that hang come back after three watchdog times."""

    def __init__(self, plan: Plan) -> None:
        self.spec = EngineSpec(ModelSpec("soak", "none", 1, 1, ""), "soak", "fp32", 1)
        self._plan = plan
        self._calls = -2  # the warm-up

    def run(self, frame: Image, out: Image | None = None) -> Image:
        self._calls += 1
        fault = self._plan.take(ENGINE_FAULTS) if self._calls > 0 else None
        if fault == "exception":
            raise RuntimeError("a fault of the engine")
        if fault == "no memory":
            raise MemoryError
        if fault == "wrong shape":
            return np.zeros((3, 3), np.float32)
        if fault == "hang":
            time.sleep(3 * HANG_S)
        if out is None:
            return frame.copy()
        np.copyto(out, frame)
        if fault == "nan output":
            out[0, 0] = np.nan
        return out

    def reset(self) -> None: ...

    def close(self) -> None: ...


class FaultySink:
    """Fails where the plan says so, and can be opened again."""

    name, quick, reopens = "faulty", True, True

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def open(self, info: StreamInfo) -> None: ...

    def present(self, before: Image, after: Frame, late: bool) -> None:
        if self._plan.take(("sink",)):
            raise ConnectionResetError("the other side has gone")

    def close(self) -> None: ...


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
    plan, census = Plan(frames, every), Census(min(20_000, frames // 3))
    before, began = usage(), time.monotonic()

    def reopen(spec: EngineSpec) -> Engine:
        return FaultyEngine(plan)

    report = stream(
        FaultySource(plan), FaultyEngine(plan), [census, FaultySink(plan)],
        policy="every", pace=False, frames=frames, hang_s=HANG_S, reopen=reopen,
    )  # fmt: skip
    seconds = time.monotonic() - began
    time.sleep(4 * HANG_S)  # the last call that hung comes back
    after, came = usage(), plan.came
    growth = {name: census.most[name] - census.first[name] for name in census.first}
    expected = {
        "frames_in": (report.frames_in, frames),
        "unaccounted": (report.frames_in - report.presented - report.dropped - report.failed, 0),
        "failed": (report.failed, came["unreadable"] + came["empty"]),
        "gaps": (report.gaps, GAP * came["gap"]),
        "clock_faults": (report.counts["clock_faults"], came["clock"]),
        "hung": (report.counts["hung"], came["hang"]),
        "nan": (report.raws.get("unusable values", 0), came["nan"]),
        "engine failed": (report.raws.get("the engine failed", 0), came["exception"] + came["no memory"]),
        "nan output": (report.raws.get("unusable output", 0), came["nan output"]),
        "wrong shape": (report.raws.get("wrong output shape", 0), came["wrong shape"]),
        "sinks_lost": (report.counts["sinks_lost"], came["sink"]),
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

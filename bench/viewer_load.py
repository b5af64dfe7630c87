"""What four viewers cost the stream: capture-to-present latency with and without them, interleaved in one run.

512×512 noise at 40 frames a second through a shipped model on one thread, the viewer as the only sink.
A viewer is a WebSocket client in a process of its own that asks for every frame as the page does and reads it whole.
Not a browser: a page of chromium, which draws in software on a machine without a GPU, takes half a core at 30 frames a
second, so that four of them would measure chromium.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import threading
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import cv2
import numpy as np
from websockets.sync.client import connect

from bench.stream_loop import SIDE, Noise
from edgerecon.core.frame import Frame, Image
from edgerecon.engines import open_engine
from edgerecon.hardware.device import host_profile
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.viewer import ViewerSink
from edgerecon.stream.sinks.web.address import Address

VIEWERS = 4
FPS = 40
SETTLE_S = 0.7


class Watched:
    """The viewer, and the latency of each frame, kept apart by phase."""

    name = "watched viewer"

    def __init__(self) -> None:
        self.viewer = ViewerSink(Address("127.0.0.1", 0))
        self.phase: str | None = None
        self.latency_ms: dict[str, list[float]] = {"without": [], "with": []}

    def open(self, info: StreamInfo) -> None:
        self.viewer.open(info)

    def present(self, before: Image, after: Frame, late: bool) -> None:
        self.viewer.present(before, after, late)
        if self.phase is not None:
            self.latency_ms[self.phase].append((time.perf_counter_ns() - after.captured_ns) / 1e6)

    def close(self) -> None:
        self.viewer.close()


def look(port: int, go: Event, over: Event, rates: multiprocessing.SimpleQueue[float]) -> None:
    """One client: looks while ``go`` is set, and tells how many frames a second it got."""
    while not over.is_set():
        if not go.wait(0.2):
            continue
        with connect(f"ws://127.0.0.1:{port}/ws?stream=noise", compression=None, max_size=None) as page:
            page.recv()
            count, begun = 0, time.monotonic()
            while go.is_set():
                page.send("frame")
                count += isinstance(page.recv(), bytes)
            rates.put(count / (time.monotonic() - begun))


def measure(rounds: int, seconds: float, model: str) -> dict[str, object]:
    cv2.setNumThreads(1)
    watched, stop = Watched(), threading.Event()
    engine = open_engine(model, threads=1)
    streaming = threading.Thread(target=lambda: stream(Noise(1 / FPS), engine, [watched], stop=stop))
    context = multiprocessing.get_context("spawn")
    go, over, rates = context.Event(), context.Event(), context.SimpleQueue()
    processes = [
        context.Process(target=look, args=(watched.viewer.port, go, over, rates), daemon=True) for _ in range(VIEWERS)
    ]
    for process in processes:
        process.start()
    streaming.start()
    time.sleep(5)  # the clients import their packages
    for _ in range(rounds):
        for phase, looks in (("without", False), ("with", True)):
            (go.set if looks else go.clear)()
            time.sleep(SETTLE_S)
            watched.phase = phase
            time.sleep(seconds)
            watched.phase = None
    go.clear()
    over.set()
    got = [rates.get() for _ in range(rounds * VIEWERS)]
    load = os.getloadavg()[0]
    stop.set()
    streaming.join()
    return _result(
        watched.latency_ms, got, rounds, seconds, f"{model}, {engine.spec.backend} {engine.spec.precision}", load
    )


def _result(
    latency_ms: dict[str, list[float]], got: list[float], rounds: int, seconds: float, model: str, load: float
) -> dict[str, object]:
    percentiles = {
        phase: {name: float(np.percentile(times, q)) for name, q in (("p50", 50), ("p90", 90), ("p99", 99))}
        for phase, times in latency_ms.items()
    }
    return {
        "shape": [SIDE, SIDE],
        "viewers": VIEWERS,
        "viewer": "WebSocket client, one process each",
        "fps_of_stream": FPS,
        "fps_of_viewers": {"min": min(got), "median": float(np.median(got))},
        "model": model,
        "rounds": rounds,
        "seconds_each": seconds,
        "frames": {phase: len(times) for phase, times in latency_ms.items()},
        "latency_ms": percentiles,
        "p50_ratio": percentiles["with"]["p50"] / percentiles["without"]["p50"],
        "p99_ratio": percentiles["with"]["p99"] / percentiles["without"]["p99"],
        "load_at_end": load,
        "niceness": os.getpriority(os.PRIO_PROCESS, 0),
        "host": host_profile(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--model", default="compact-despeckle-int8")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result = measure(arguments.rounds, arguments.seconds, arguments.model)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key != "host"}, indent=2))  # noqa: T201


if __name__ == "__main__":
    main()

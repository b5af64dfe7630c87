"""What the streaming loop adds to inference, and whether its memory stays flat.

An engine of fixed work (busy for a given time, with the interpreter lock released as runtimes do, then one copy) stands
in for a model, so that nothing but the loop is measured: 512×512 uint8 frames, null sink, policy `latest`.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from edgerecon.core.frame import Frame, Image
from edgerecon.engines.base import EngineSpec
from edgerecon.modelfile.spec import ModelSpec
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sources.base import Capture

SIDE = 512


class Noise:
    """Endless frames of noise, from eight made beforehand."""

    name = "noise"
    spacing_mm: tuple[float, float] | None = None
    length: int | None = None

    def __init__(self, period_s: float) -> None:
        self.period_s: float | None = period_s
        self._frames = np.random.default_rng(0).integers(0, 256, (8, SIDE, SIDE), np.uint8)

    def frames(self) -> Iterator[Capture]:
        while True:
            for frame in self._frames:
                yield Capture(frame)

    def close(self) -> None: ...


class Busy:
    """Computes (blurs, without the interpreter lock) for a fixed time, then gives the frame."""

    def __init__(self, work_ms: float) -> None:
        self.spec = EngineSpec(ModelSpec("busy", "none", 1, 1, ""), "busy", "fp32", 1)
        self._work_ns = work_ms * 1e6
        self._scratch = np.empty((SIDE, SIDE), np.float32)

    def run(self, frame: Image, out: Image | None = None) -> Image:
        start = time.perf_counter_ns()
        while time.perf_counter_ns() - start < self._work_ns:
            cv2.blur(frame, (9, 9), dst=self._scratch)
        if out is None:
            return frame.copy()
        np.copyto(out, frame)
        return out

    def reset(self) -> None: ...

    def close(self) -> None: ...


class Peak:
    """A null sink that notes peak memory from the warm frame on."""

    name = "null"

    def __init__(self, warm: int) -> None:
        self._warm, self._seen = warm, 0
        self.first_mb = self.last_mb = 0.0

    def open(self, info: StreamInfo) -> None: ...

    def present(self, before: Image, after: Frame, late: bool) -> None:
        self._seen += 1
        if self._seen == self._warm:
            self.first_mb = _rss_mb()
        elif self._seen % 500 == 0 and self._seen > self._warm:
            self.last_mb = max(self.last_mb, _rss_mb())

    def close(self) -> None: ...


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def measure(frames: int, period_ms: float, work_ms: float) -> dict[str, object]:
    peak = Peak(min(1000, frames // 2))
    cv2.setNumThreads(1)
    report = stream(Noise(period_ms / 1e3), Busy(work_ms), [peak], frames=frames, stop=threading.Event())
    latency, infer = report.latency_ms["p99"], report.stages_ms["infer"]["p99"]
    assert latency is not None and infer is not None
    return {
        "shape": [SIDE, SIDE],
        "frames": report.frames_in,
        "period_ms": period_ms,
        "work_ms": work_ms,
        "overhead_p99_ms": latency - infer,
        "latency_ms": report.latency_ms,
        "stages_ms": report.stages_ms,
        "dropped": report.dropped,
        "late": report.late,
        "rss_warm_mb": peak.first_mb,
        "rss_peak_after_mb": peak.last_mb,
        "rss_growth_mb": peak.last_mb - peak.first_mb,
        "host": report.host,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--period-ms", type=float, default=10.0)
    parser.add_argument("--work-ms", type=float, default=4.0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result = measure(arguments.frames, arguments.period_ms, arguments.work_ms)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    stages = ", ".join(f"{name} {times['p50']:.3f}/{times['p99']:.3f}" for name, times in result["stages_ms"].items())  # type: ignore[attr-defined]
    print(f"{result['frames']} frames of {SIDE}×{SIDE}, dropped {result['dropped']}, late {result['late']}")  # noqa: T201
    print(f"stages p50/p99 ms: {stages}")  # noqa: T201
    print(f"overhead (capture-to-present p99 - infer p99): {result['overhead_p99_ms']:.3f} ms")  # noqa: T201
    print(f"memory after warm-up: {result['rss_warm_mb']:.1f} MB, {result['rss_growth_mb']:+.1f} MB by the end")  # noqa: T201


if __name__ == "__main__":
    main()

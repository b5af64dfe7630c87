"""Stream a recording through a model into NumPy: a sink of one's own receives every shown frame.

python examples/stream_to_numpy.py [SOURCE]
"""

from __future__ import annotations

import sys

import numpy as np

import edgerecon as er


class Collector:
    """A sink that keeps copies: the stream reuses its buffers for the next frame."""

    name = "collector"

    def open(self, info) -> None:
        self.frames: list[np.ndarray] = []

    def present(self, before, after, late) -> None:
        self.frames.append(after.pixels.copy())

    def close(self) -> None: ...


def main(source: str = "sample") -> None:
    recording, engine, sink = er.open_source(source), er.open_engine("compact-despeckle"), Collector()
    report = er.stream(recording, engine, [sink], policy="every", pace=False)
    frames = np.stack(sink.frames)  # float32 (T, H, W) in [0, 1]
    p99 = report.to_json()["latency_ms"]["p99"]
    print(f"frames {frames.shape}, p99 {p99:.1f} ms, mean {frames.mean():.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])

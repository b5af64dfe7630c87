"""The streaming loop without a model: 200 frames of 512×512 as fast as its three threads hand them on."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sinks.null import NullSink
from edgerecon.stream.sources.memory import Cine

FRAMES = 200


def bench_loop(benchmark: Any, frame: np.ndarray) -> None:
    cine = Cine(frame[None], 1 / 30)
    report = benchmark(lambda: stream(cine, None, [NullSink()], policy="every", pace=False, loop=True, frames=FRAMES))
    assert report.presented == FRAMES and report.dropped == report.failed == 0

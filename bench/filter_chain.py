"""The chain of HoloHub's ultrasound post-processing example, with its presets, as filters of a stream.

    python bench/filter_chain.py --json bench/results/filter_chain.json

HoloHub's ``presets/benchmark.yml`` (NVIDIA, applications/ultrasound_postprocessing) has fourteen filters, and its
application makes RGBA of what comes out: fifteen steps, 79.7 ms on its authors' RTX PRO 6000; they state no frame size.
Here frames are 512×512, of the built-in cine. Non-local means and diffusion are those of our CPU kernels where they
are built, else OpenCV's; the adaptive histograms are OpenCV's at 8 bits.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.files import write
from edgerecon.core.frame import Image, to_uint8, to_unit
from edgerecon.hardware.device import host_profile
from edgerecon.stream.filters.chain import FilterChain, FilterSettings
from edgerecon.stream.filters.filter import open_filters
from edgerecon.stream.sources.still_frames import read_frames

SIDE = 512
PRESET = (
    "grey-map:gamma=1",
    "clahe:clip=2.56,tiles=8",
    "local-levels:radius=5,beta=1",
    "median:size=3",
    "gaussian:sigma=1",
    "edges:amount=1.5,sigma=1",
    "diffusion:iterations=10,kappa=0.1,step=0.1",
    "bilateral:size=7,levels=0.1,space=2",
    "guided:radius=5,epsilon=0.01",
    "non-local-means:h=0.1,patch=7,search=23",
    "low-rank:rank=32",
    "persistence:alpha=0.5",
    "temporal-low-rank:history=5,rank=3",
)
"""Their values by our names: CLAHE's clip limit is theirs times 256 bins, a search distance of 11 is a window of 23."""

ONE_BLAS_THREAD = "OPENBLAS_NUM_THREADS"


def blue(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The blue colour map, RGB."""
    ramp = np.arange(256)
    table = np.stack([np.maximum(0, 2 * ramp - 255), np.maximum(0, 2 * ramp - 255), np.minimum(255, 2 * ramp)], 1)
    return np.asarray(cv2.LUT(cv2.merge([levels] * 3), table.astype(np.uint8)[:, None]), np.uint8)


def measure(frames: list[Image], seconds: float) -> dict[str, object]:
    """Milliseconds of the chain and of each step, over so long, after a warm-up of ten frames."""
    chain = FilterChain(FilterSettings(open_filters(PRESET)))
    totals: list[float] = []
    steps: dict[str, list[float]] = {}
    count, until = 0, float("inf")
    while time.perf_counter() < until:
        began = time.perf_counter()
        stages: dict[str, float] = {}
        image = chain.run(frames[count % len(frames)], stages)
        marks = [time.perf_counter()]
        coloured = blue(to_uint8(image))
        marks.append(time.perf_counter())
        cv2.cvtColor(coloured, cv2.COLOR_RGB2RGBA)
        marks.append(time.perf_counter())
        count += 1
        if count == 10:
            until = marks[-1] + seconds
        if count > 10:
            totals.append(1e3 * (marks[-1] - began))
            stages |= {"colour map": 1e3 * (marks[1] - marks[0]), "to RGBA": 1e3 * (marks[2] - marks[1])}
            for name, ms in stages.items():
                steps.setdefault(name, []).append(ms)
    p50, p99, p999 = (float(np.percentile(totals, q)) for q in (50, 99, 99.9))
    return {
        "frames": len(totals),
        "latency_ms": {"p50": p50, "p99": p99, "p999": p999, "max": max(totals)},
        "steps_ms": {name: float(np.percentile(times, 50)) for name, times in steps.items()},
    }


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if ONE_BLAS_THREAD not in os.environ:  # as the edgerecon command sets it; NumPy reads it when it is imported
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {ONE_BLAS_THREAD: "1"})
    cv2.setNumThreads(asked.threads)
    frames = [np.float32(cv2.resize(to_unit(image), (SIDE, SIDE))) for image in read_frames()]
    found = measure(frames, asked.seconds)
    found |= {"preset": list(PRESET), "shape": [SIDE, SIDE], "threads": asked.threads}
    found |= {"command": "python bench/filter_chain.py", "host": host_profile()}
    text = json.dumps(found, indent=1) + "\n"
    sys.stdout.write(text)
    if asked.json:
        write(asked.json, text.encode())


if __name__ == "__main__":
    main()

"""Our CPU kernels against the stock runtimes: CPU time of the same frames, interleaved, as ratios.

    python bench/native_engine.py --json native.json

Each round runs one frame on every engine, so that a loaded machine slows all of them alike; the ratio is that of the
medians of CPU time (``time.process_time_ns``, all threads of the process).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

from edgerecon.core.errors import EdgereconError
from edgerecon.engines import Engine, open_engine
from edgerecon.hardware.device import host_profile

ENGINES = (
    ("native", "native", "fp32"),
    ("onnxruntime", "onnxruntime", "fp32"),
    ("openvino", "openvino", "fp32"),
    ("openvino int8", "openvino", "int8"),
)
WARM_UP = 3


def opened(model: str, threads: int) -> dict[str, Engine]:
    """The engines that run here, by name; why another does not is said on stderr."""
    found = {}
    for name, backend, precision in ENGINES:
        try:
            found[name] = open_engine(model, backend, precision, threads=threads)
        except EdgereconError as error:
            sys.stderr.write(f"{name}: {error}\n")
    return found


def measure(model: str, threads: int, shape: tuple[int, int], rounds: int) -> list[dict[str, object]]:
    """One row an engine: median and least CPU milliseconds, and how many times as long as ``native`` it takes."""
    engines = opened(model, threads)
    frame = np.random.default_rng(0).random(shape, dtype=np.float32)
    out = np.empty_like(frame)
    spent: dict[str, list[float]] = {name: [] for name in engines}
    for turn in range(WARM_UP + rounds):
        for name, engine in engines.items():
            before = time.process_time_ns()
            engine.run(frame, out)
            if turn >= WARM_UP:
                spent[name].append((time.process_time_ns() - before) / 1e6)
    ours = median(spent["native"]) if "native" in spent else float("nan")
    return [
        {"engine": name, "model": model, "threads": threads, "shape": list(shape), "cpu_ms_p50": round(median(took), 3),
         "cpu_ms_min": round(min(took), 3), "over_native": round(median(took) / ours, 2)}
        for name, took in spent.items()
    ]  # fmt: skip


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="compact-despeckle", help="a shipped name or a path")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--size", type=int, nargs="+", default=[256, 512], help="edges of the square frames")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", type=Path, help="write the rows here as well")
    asked = parser.parse_args()
    rows = [
        row
        for threads in asked.threads
        for size in asked.size
        for row in measure(asked.model, threads, (size, size), asked.rounds)
    ]
    for row in rows:
        line = "{model} {shape} {threads} thread(s)  {engine:14} {cpu_ms_p50:8} ms  {over_native}×\n"
        sys.stdout.write(line.format(**row))
    if asked.json:
        asked.json.write_text(json.dumps({"rows": rows, "host": host_profile()}, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()

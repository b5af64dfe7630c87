"""Our CPU kernels against the stock runtimes: CPU time of the same frames, interleaved, as ratios.

    python bench/native_engine.py --json native.json

Each round runs one frame on every engine, so that a loaded machine slows all of them alike; the ratio is that of the
medians of CPU time (``time.process_time_ns``, all threads of the process). ``load`` in the JSON is the machine's at the
end: above the number of threads it did other work beside.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from edgerecon.core.errors import EdgereconError
from edgerecon.core.frame import Image
from edgerecon.core.shipped import resource_dir
from edgerecon.cpu.layers import read_layers
from edgerecon.cpu.library import load_library
from edgerecon.cpu.quantise import quantise
from edgerecon.engines import open_engine
from edgerecon.hardware.device import host_profile
from edgerecon.modelfile.catalogue import find_file

ENGINES = (
    ("native", "native", "fp32"),
    ("onnxruntime", "onnxruntime", "fp32"),
    ("openvino", "openvino", "fp32"),
    ("openvino int8", "openvino", "int8"),
)
WARM_UP = 3


Run = Callable[[Image, Image], object]


def opened(model: str, threads: int, shape: tuple[int, int]) -> dict[str, Run]:
    """What runs here, by name; why another does not is said on stderr."""
    found: dict[str, Run] = {}
    for name, backend, precision in ENGINES:
        try:
            found[name] = open_engine(model, backend, precision, threads=threads).run
        except EdgereconError as error:
            sys.stderr.write(f"{name}: {error}\n")
    try:
        found["native int16"] = integers(model, threads, shape)
    except EdgereconError as error:
        sys.stderr.write(f"native int16: {error}\n")
    return found


def integers(model: str, threads: int, shape: tuple[int, int]) -> Run:
    """The int16 form, calibrated on the shipped scenes: the kernels alone, whether or not a file of it ships."""
    with np.load(resource_dir("export") / "heldout.npz") as scenes:
        frames = [scene.astype(np.float32) / 255 for scene in scenes["pw31"]]
    network = load_library().open(quantise(read_layers(find_file(model, ("fp32",), "fp32")), frames))
    return network.bind(*shape, threads).run


def measure(model: str, threads: int, shape: tuple[int, int], rounds: int) -> list[dict[str, object]]:
    """One row an engine: median and least CPU milliseconds, and how many times as long as ``native`` it takes."""
    engines = opened(model, threads, shape)
    if "native" not in engines:
        sys.exit("there is nothing to compare with: run  edgerecon kernels build --cpu")
    frame = np.random.default_rng(0).random(shape, dtype=np.float32)
    out = np.empty_like(frame)
    spent: dict[str, list[float]] = {name: [] for name in engines}
    for turn in range(WARM_UP + rounds):
        for name, run in engines.items():
            before = time.process_time_ns()
            run(frame, out)
            if turn >= WARM_UP:
                spent[name].append((time.process_time_ns() - before) / 1e6)
    ours = median(spent["native"])
    return [
        {
            "engine": name,
            "model": model,
            "threads": threads,
            "shape": list(shape),
            "cpu_ms_p50": round(median(took), 3),
            "cpu_ms_min": round(min(took), 3),
            "over_native": round(median(took) / ours, 2),
        }
        for name, took in spent.items()
    ]


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
        found = {"command": " ".join(sys.argv), "load": os.getloadavg(), "rows": rows, "host": host_profile()}
        asked.json.write_text(json.dumps(found, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()

"""Our CPU kernels against the stock runtimes, and against what is asked of them.

    python bench/native_engine.py --json bench/results/native-engine.json     about four minutes

Each round runs one frame on every engine, so that a loaded machine slows all of them alike; a ratio is that of the
medians: of CPU time on one thread (``time.process_time_ns``), of wall time on several, since runtimes that spin count
what they wait. ``load`` in the JSON is the machine's before and after: above the number of threads it did other
work beside.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np

from bench.eight_streams import measure as eight_streams
from edgerecon.core.errors import EdgereconError
from edgerecon.cpu.compile import find_compiler
from edgerecon.cpu.graph_layers import read_layers
from edgerecon.cpu.layers import Kind, Layer
from edgerecon.engines import open_engine
from edgerecon.engines.base import Engine
from edgerecon.hardware.device import host_profile
from edgerecon.modelfile.catalogue import find_file

MODEL, SMALLEST = "compact-despeckle", "compact-despeckle-w8d4"
OURS = (("native", "int16"), ("native", "fp32"))
STOCK = (
    ("onnxruntime", "fp32"),
    ("onnxruntime", "int8"),
    ("openvino", "fp32"),
    ("openvino", "int8"),
    ("litert", "fp32"),
)
SHAPES = ((256, 256), (512, 512), (1080, 1920))
SQUARE = (512, 512)
WARM_UP = 3
LOAD = 0.5
"""Share of the time that the paced engine works."""
BUSY = 2.0
"""Load a processor above which wall time says nothing of the kernels: what is asked in it is left open."""

Row = dict[str, Any]
Measured = TypeVar("Measured")


@dataclass(frozen=True)
class Aim:
    """A figure beside what is asked of it; ``found`` is None where it could not be measured."""

    figure: str
    asked: str
    found: float | None
    reached: bool | None


def opened(ways: Iterable[tuple[str, str]], model: str, threads: int) -> Iterator[tuple[str, Engine]]:
    """What runs here, by name; why another does not is said on stderr."""
    for backend, precision in ways:
        try:
            yield f"{backend} {precision}", open_engine(model, backend, precision, threads=threads)
        except EdgereconError as error:
            sys.stderr.write(f"{backend} {precision}: {error}\n")


def timed(
    engines: dict[str, Engine], shape: tuple[int, int], seconds: float, frames: int = 1
) -> dict[str, dict[str, list[float]]]:
    """Name → {cpu, wall}: milliseconds of each round, for about so many seconds, at least eight rounds.

    ``frames``: that an engine runs in its turn; the last one counts.
    """
    frame = np.random.default_rng(0).random(shape, dtype=np.float32)
    out = np.empty_like(frame)
    spent: dict[str, dict[str, list[float]]] = {name: {"cpu": [], "wall": []} for name in engines}
    turn, end = 0, 0.0
    while turn < WARM_UP + 8 or time.perf_counter() < end:
        for name, engine in engines.items():
            for _ in range(frames):
                cpu, wall = time.process_time_ns(), time.perf_counter_ns()
                engine.run(frame, out)
            if turn >= WARM_UP:
                spent[name]["cpu"].append((time.process_time_ns() - cpu) / 1e6)
                spent[name]["wall"].append((time.perf_counter_ns() - wall) / 1e6)
        turn += 1
        end = end if turn != WARM_UP else time.perf_counter() + seconds
    return spent


def multiply_adds(layers: Iterable[Layer]) -> float:
    """Of a pixel, in the form that the kernels run: Winograd's F(4×4), or in integers what the levels allow."""
    area, found, levels = {0: 1.0}, 0.0, {0: (0, 1)}
    for layer in layers:
        read = area[layer.source]
        grown = {Kind.UNSHUFFLE: layer.kernel**-2, Kind.SHUFFLE: layer.kernel**2, Kind.TRANSPOSED: layer.stride**2}
        area[layer.target] = read * grown.get(layer.kind, layer.stride**-2)
        if layer.integers:
            levels[layer.target] = (layer.integers.floor, layer.integers.ceiling)
        if layer.kind in (Kind.UNSHUFFLE, Kind.SHUFFLE):
            continue
        less, more = sorted(map(abs, levels.get(layer.source, (0, 1))))
        products: float = layer.kernel**2 if layer.kind is Kind.CONVOLUTION else 1
        if layer.winograd and 16 * more + 4 * less < 2**15:
            products = 36 / 16 if 68 * more + 32 * less < 2**15 else 24 / 8
        found += products * layer.inputs * layer.outputs * area[layer.target]
    return found


def compare(threads: int, shape: tuple[int, int], seconds: float) -> list[Row]:
    """One row an engine; ``over`` ours: how many times as long as each of our own it takes."""
    engines = dict(opened((*OURS, *STOCK), MODEL, threads))
    spent = timed(engines, shape, seconds)
    kind = "cpu" if threads == 1 else "wall"
    rows = []
    for name, took in spent.items():
        row: Row = {
            "engine": name,
            "model": MODEL,
            "threads": threads,
            "shape": list(shape),
            "rounds": len(took["cpu"]),
        }
        row |= {f"{clock}_ms_p50": round(median(took[clock]), 3) for clock in took}
        row |= {f"{clock}_ms_min": round(min(took[clock]), 3) for clock in took}
        row["over"] = {
            f"{b} {p}": round(median(took[kind]) / median(spent[f"{b} {p}"][kind]), 2)
            for b, p in OURS
            if f"{b} {p}" in spent
        }
        if name.startswith("native"):
            count = multiply_adds(read_layers(find_file(MODEL, (name.split()[1],), name.split()[1])))
            row["gmac_per_s"] = round(count * shape[0] * shape[1] / min(took["wall"]) / 1e6, 1)
        rows.append(row)
    for engine in engines.values():
        engine.close()
    return rows


def two_over_one(seconds: float) -> float:
    """Wall time of one thread over that of two, int16, interleaved; of two frames in a row the second, since a virtual
    processor that slept through the other's turn takes a while to wake up."""
    engines = {str(n): open_engine(MODEL, "native", "int16", threads=n) for n in (1, 2)}
    spent = timed(engines, SQUARE, seconds, frames=2)
    return median(spent["1"]["wall"]) / median(spent["2"]["wall"])


def machine_ceiling() -> dict[str, float] | None:
    """What two threads are over one where nothing but products in registers is done: see machine_ceiling.cpp. None
    without a compiler or AVX2."""
    source = Path(__file__).with_name("machine_ceiling.cpp")
    try:
        compiler = str(find_compiler().path)
        with tempfile.TemporaryDirectory() as folder:
            program = str(Path(folder) / "machine_ceiling")
            flags = ["-std=c++17", "-O2", "-mavx2", "-mfma", "-pthread"]
            subprocess.run([compiler, *flags, "-o", program, str(source)], check=True, capture_output=True, timeout=120)
            said = subprocess.run([program], check=True, capture_output=True, text=True, timeout=120).stdout
    except (EdgereconError, OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"machine ceiling: {error}\n")
        return None
    return {name: float(ratio) for name, ratio in (line.split() for line in said.splitlines())}


def smallest(seconds: float) -> float:
    """Milliseconds of a frame of the smallest network, int16, two threads."""
    engines = {"": open_engine(SMALLEST, "native", "int16", threads=2)}
    return median(timed(engines, SQUARE, seconds)[""]["wall"])


def paced(seconds: float) -> float:
    """p99 over p50 of the latency, int16, two threads, with a frame due so often that half of the time is idle."""
    engine = open_engine(MODEL, "native", "int16", threads=2)
    frame = np.random.default_rng(0).random(SQUARE, dtype=np.float32)
    out = np.empty_like(frame)
    period = median(timed({"": engine}, SQUARE, 1.0)[""]["wall"]) / 1e3 / LOAD
    took, start = [], time.perf_counter()
    for due in np.arange(0.1, seconds, period):
        time.sleep(max(0.0, start + due - time.perf_counter()))
        before = time.perf_counter()
        engine.run(frame, out)
        took.append(time.perf_counter() - before)
    return float(np.percentile(took, 99, method="higher") / median(took))


def quality_loss() -> float:
    """PSNR on the recipe's validation scenes, fp32 − int16, as their files record it."""
    fp32, int16 = (find_file(MODEL, (key,), key).spec.quality["validation_psnr_db"] for key in ("fp32", "int16"))
    return fp32 - int16


def over(rows: list[Row], ours: str, *against: str) -> float | None:
    """How many times as long the fastest of some engines takes, at 512×512 on one thread."""
    ratios = [
        row["over"][ours]
        for row in rows
        if row["threads"] == 1 and tuple(row["shape"]) == SQUARE and row["engine"] in against and ours in row["over"]
    ]
    return min(ratios, default=None)


def aims(rows: list[Row], streams: Row | None, seconds: float) -> list[Aim]:
    """What is asked of the kernels on AVX2."""
    stock = [f"{backend} {precision}" for backend, precision in STOCK]
    fp32 = [name for name in stock if name.endswith("fp32")]
    found: list[tuple[str, str, float, Callable[[], float | None]]] = [
        (
            "int16 over ONNX Runtime fp32, 512², 1 thread",
            "≥",
            4.5,
            lambda: over(rows, "native int16", "onnxruntime fp32"),
        ),
        ("int16 over the best stock runtime in any precision", "≥", 2.5, lambda: over(rows, "native int16", *stock)),
        ("fp32 over the best stock fp32", "≥", 2.2, lambda: over(rows, "native fp32", *fp32)),
        ("two threads over one", "≥", 1.85, lambda: in_wall_time(lambda: two_over_one(seconds))),
        ("PSNR below fp32, dB", "≤", 0.02, quality_loss),
        (f"{SMALLEST} int16, 512², 2 threads, ms", "≤", 1.0, lambda: in_wall_time(lambda: smallest(seconds))),
        ("p99 over p50, paced at 50 % load", "≤", 1.5, lambda: in_wall_time(lambda: paced(3 * seconds))),
    ]
    if streams is not None:
        what = f"missed of {streams['frames']} frames, eight 256² streams at 30 fps"
        found.append((what, "≤", 0, lambda: streams["missed"]))
    return [_aim(*one) for one in found]


def in_wall_time(measure: Callable[[], Measured]) -> Measured | None:
    """What is measured in wall time, on a machine that has the time."""
    return measure() if os.getloadavg()[0] <= BUSY * (os.cpu_count() or 1) else None


def _aim(figure: str, sign: str, asked: float, measure: Callable[[], float | None]) -> Aim:
    try:
        value = measure()
    except EdgereconError as error:
        sys.stderr.write(f"{figure}: {error}\n")
        value = None
    reached = None if value is None else (value >= asked if sign == "≥" else value <= asked)
    return Aim(figure, f"{sign} {asked:g}", None if value is None else round(value, 4), reached)


def shape_of(text: str) -> tuple[int, int]:
    """HEIGHTxWIDTH."""
    height, width = map(int, text.split("x"))
    return height, width


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--shapes", type=shape_of, nargs="+", default=SHAPES, help="of the frames, HEIGHTxWIDTH")
    parser.add_argument("--seconds", type=float, default=12.0, help="of each comparison")
    parser.add_argument("--streams", type=float, default=40.0, help="seconds of the eight streams; 0 leaves them out")
    parser.add_argument("--json", type=Path, help="write the rows here as well")
    asked = parser.parse_args()
    before = os.getloadavg()
    rows = [
        row for threads in asked.threads for shape in asked.shapes for row in compare(threads, shape, asked.seconds)
    ]
    how = {"model": MODEL, "backend": "native", "precision": "int16", "threads": 1}
    streams = eight_streams(8, asked.streams, 30.0, how) if asked.streams else None
    reached = aims(rows, streams, asked.seconds / 2)
    for row in rows:
        line = (
            "{shape[0]:4}×{shape[1]:<4} {threads} thread(s)  {engine:17} cpu {cpu_ms_p50:8} ms  wall {wall_ms_p50:8} ms"
        )
        sys.stdout.write(f"{line.format(**row)}  {row['over']}\n")
    for one in reached:
        sys.stdout.write(f"{one.figure:60} {one.asked:>7}  {one.found}  {one.reached}\n")
    if asked.json:
        found = {
            "command": " ".join(sys.argv),
            "load": {"before": before, "after": os.getloadavg()},
            "machine_ceiling_two_threads": in_wall_time(machine_ceiling),
            "aims": [asdict(one) for one in reached],
            "rows": rows,
            "streams": streams,
            "host": host_profile(),
        }
        asked.json.write_text(json.dumps(found, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()

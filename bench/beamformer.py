"""The beamformer's speed, memory and exactness beside PyMUST's, in the same run, and live behind a network.

    edgerecon kernels build --cpu
    python bench/beamformer.py --json bench/results/beamformer.json

A point is one pixel and one element: 63 001 pixels × 128 elements, all of them heard in ``single`` and ``batch`` as in
PyMUST's matrix, those within F/1.75 elsewhere. Each round runs ours and theirs in turn; a figure is that of the
quickest round by the wall clock, and ``cpu_points_per_s`` that of the least processor time, times the threads: what an
idle machine does. ``max_error_db`` is the largest difference from float64 formulas, below the largest value.
``memory_mb`` is what a process grows by for a geometry and its first picture, ``bytes_per_point`` the same over its
points.

| case | |
|---|---|
| single, single-iq | one plane wave, RF or IQ with its rotation |
| batch, batch-iq | 32 frames of it, side by side, from rows of each frame |
| picture | 256×256, F/1.75, one plane wave, RF samples of 16 bits to grey levels |
| compound | the same of 11 plane waves, coherent |
| cf, dmas, gcf, mv | the picture by another method |
| live | ``compound`` at 30 frames a second, compact-despeckle behind it, in fp32 or int16, whichever is faster |
|      | here: what missed its deadline or was lost |
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgerecon.beamform import (
    Acquisition,
    Beamformer,
    CartesianGrid,
    LogCompression,
    Settings,
    linear_array,
    plane_wave,
)
from edgerecon.beamform.job import heard, make_job
from edgerecon.beamform.summation import Summation
from edgerecon.core.errors import EdgereconError
from edgerecon.cpu.library import load_library
from edgerecon.engines import open_engine
from edgerecon.engines.base import Engine
from edgerecon.engines.fastest import speed
from edgerecon.hardware.device import host_profile
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sources.base import Capture
from edgerecon.stream.sources.live.live_channel import FormedSource
from edgerecon.stream.sources.live.probe_clock import ProbeClock

ELEMENTS, SAMPLES, RATE, CARRIER, SPEED, PITCH = 128, 2048, 20.8e6, 5.2e6, 1540.0, 0.3e-3
EDGE, FRAMES = 251, 32
WIDE_OPEN = Settings(f_number=0.0, window="boxcar", signal="rf")
Run = Callable[[], Any]


def acquisition(iq: bool = False, waves: int = 1) -> Acquisition:
    """128 elements, plane waves over ±12°."""
    angles = np.radians(np.linspace(-12, 12, waves)) if waves > 1 else [0.0]
    transmits = tuple(plane_wave(float(angle)) for angle in angles)
    return Acquisition(linear_array(ELEMENTS, PITCH), transmits, SAMPLES, RATE, CARRIER, SPEED, iq)


def grid(edge: int = EDGE) -> CartesianGrid:
    """40×40 mm from 5 mm on."""
    return CartesianGrid(np.linspace(-20e-3, 20e-3, edge), np.linspace(5e-3, 45e-3, edge))


def timed(runs: dict[str, Run], rounds: int) -> dict[str, tuple[float, float]]:
    """Least seconds of wall clock and of processor time of each, all of them once a round."""
    best = {name: (np.inf, np.inf) for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            wall, spent = time.perf_counter(), time.process_time()
            run()
            took = time.perf_counter() - wall, time.process_time() - spent
            if turn or not rounds:
                best[name] = min(best[name][0], took[0]), min(best[name][1], took[1])
    return best


def exact(made: Acquisition, signals: np.ndarray, settings: Settings) -> np.ndarray:
    """Delay-and-sum in float64."""
    x, z = grid().points_m()
    found = np.zeros(x.shape, complex)
    row = np.zeros(SAMPLES + 5, complex)
    for wave, transmit in enumerate(made.transmits):
        outward = transmit.path_m(x, z, made.probe, SPEED)
        for element, place in enumerate(made.probe.element_x_m):
            delay = (outward + np.hypot(x - place, z)) / SPEED
            row[2 : 2 + SAMPLES] = signals[wave, element]
            at = np.clip(delay * RATE, -2, SAMPLES) + 2
            first = at.astype(int)
            value = row[first] * (1 - (at - first)) + row[first + 1] * (at - first)
            found += value * np.exp(2j * np.pi * CARRIER * delay) if made.iq else value
    return found


def error_db(found: np.ndarray, expected: np.ndarray) -> float:
    return float(20 * np.log10(np.abs(found - expected).max() / np.abs(expected).max()))


def pymust_product(signals: np.ndarray, iq: bool) -> tuple[Run, float]:
    """PyMUST's matrix times a frame, and the seconds that its set-up took."""
    import pymust

    param = pymust.utils.Param()
    param.fs, param.fc, param.c, param.pitch, param.Nelements = RATE, CARRIER, SPEED, PITCH, ELEMENTS
    began = time.perf_counter()
    shape = np.array([SAMPLES, ELEMENTS])
    matrix = pymust.dasmtx(1j * shape if iq else shape, *grid().points_m(), np.zeros((1, ELEMENTS)), param).tocsr()
    took = time.perf_counter() - began
    flat = signals[0].ravel()  # element after element, as its columns
    return lambda: matrix @ flat, took


def one_geometry(iq: bool, threads: int, rounds: int) -> list[dict[str, Any]]:
    """Rows ``single`` and ``batch``."""
    rng = np.random.default_rng(0)
    made, pixels = acquisition(iq), EDGE * EDGE
    signals = rng.standard_normal(made.shape)
    if iq:
        signals = (signals + 1j * rng.standard_normal(made.shape)).astype(np.complex64)
    else:
        signals = np.rint(signals * 6000).clip(-32767, 32767).astype(np.int16)
    settings = WIDE_OPEN if not iq else replace(WIDE_OPEN, signal="iq")
    began = time.perf_counter()
    job = make_job(made, made.transmits, grid(), settings, SAMPLES, RATE, CARRIER if iq else 0.0, "das")
    ours = Summation(job, _das(), settings, None, load_library(), threads)
    set_up = time.perf_counter() - began
    peak = float(np.abs(signals).max())
    ours.load(signals, peak)
    reference, expected = _pymust(signals, iq), exact(made, signals, settings)
    frames = [signals] * FRAMES
    runs: dict[str, Run] = {"single": ours.form, "batch": lambda: ours.batch(frames, peak)}
    if reference:
        runs["PyMUST"] = reference[0]
    found = timed(runs, rounds)
    errors = {"single": error_db(ours.form(), expected), "batch": error_db(ours.batch(frames, peak)[-1], expected)}
    theirs = found.get("PyMUST", (np.nan, np.nan))[0]
    return [
        {
            "case": f"{case}-iq" if iq else case,
            "points_per_s": count * pixels * ELEMENTS / found[case][0],
            "cpu_points_per_s": count * pixels * ELEMENTS / found[case][1] * threads,
            "ratio": count * theirs / found[case][0] if reference else None,
            "max_error_db": errors[case],
            "ms": found[case][0] * 1e3,
            "cpu_ms": found[case][1] * 1e3,
            "set_up_s": set_up,
            "pymust_points_per_s": pixels * ELEMENTS / theirs if reference else None,
            "pymust_set_up_s": reference[1] if reference else None,
            "threads": threads,
        }
        for case, count in (("single", 1), ("batch", FRAMES))
    ]


def points_heard(beamformer: Beamformer) -> int:
    """Pairs of a pixel and an element of all transmits, within the aperture."""
    (summation,) = beamformer._sums
    job = summation._job
    return len(job.transmit) * sum(int(heard(job, slice(row, row + 1)).sum()) for row in range(job.shape[0]))


def resident_mb() -> float:
    """Of this process, now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def memory_mb(waves: int) -> float:
    """What this process grows by for a geometry and its first picture, its samples apart."""
    made = acquisition(waves=waves)
    signals = np.full(made.shape, 100, np.int16)
    before = resident_mb()
    beamformer = Beamformer(made, grid(256))
    LogCompression()(np.abs(beamformer(signals)))
    return resident_mb() - before


def memory_apart(waves: int) -> float:
    """``memory_mb`` of a process of its own, where nothing that was freed is used again."""
    command = [sys.executable, __file__, "--memory", str(waves)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout)


def picture(waves: int, method: str, threads: int, rounds: int) -> dict[str, Any]:
    """One row of RF to grey levels on 256×256 pixels, with the time of every step."""
    made = acquisition(waves=waves)
    signals = np.random.default_rng(1).integers(-9000, 9000, made.shape).astype(np.int16)
    began = time.perf_counter()
    beamformer, compress = Beamformer(made, grid(256), Settings(method=method), threads=threads), LogCompression()
    set_up = time.perf_counter() - began
    stages: dict[str, list[float]] = {"demodulate": [], "beamform": [], "detect": []}

    def run() -> None:
        formed = beamformer(signals)
        began = time.perf_counter()
        compress(np.abs(formed))
        for stage, spent in zip(
            stages, (beamformer.load_ms, beamformer.form_ms, (time.perf_counter() - began) * 1e3), strict=True
        ):
            stages[stage].append(spent)

    wall, spent = timed({"ours": run}, rounds)["ours"]
    points = points_heard(beamformer)
    memory = memory_apart(waves) if method == "das" else None
    return {
        "case": method if method != "das" else "picture" if waves == 1 else "compound",
        "points_per_s": points / wall,
        "points": points,
        "ms": wall * 1e3,
        "cpu_ms": spent * 1e3,
        "stages_ms": {stage: min(taken) for stage, taken in stages.items()},
        "set_up_s": set_up,
        "memory_mb": memory,
        "bytes_per_point": memory * 1e6 / points if memory else None,
        "waves": waves,
        "threads": threads,
    }


class Probe:
    """A live probe: the same frames of 11 plane waves in turn, 30 a second, 16 bits."""

    live, name, length = True, "11 plane waves", None
    spacing_mm: tuple[float, float] | None = None

    def __init__(self, made: Acquisition) -> None:
        self.period_s = made.period_s
        shape = (4, len(made.transmits) * ELEMENTS, SAMPLES)
        self._signals = np.random.default_rng(1).integers(-9000, 9000, shape).astype(np.int16).view(np.uint16)
        self._clock = ProbeClock(made.period_s or 1.0)

    def frames(self) -> Iterator[Capture]:
        for number, tick in enumerate(self._clock.ticks()):
            yield Capture(self._signals[number % 4], gap=tick.gap, captured_ns=time.perf_counter_ns())

    def close(self) -> None:
        self._clock.close()


def faster_engine(threads: int) -> Engine:
    """compact-despeckle in fp32 or in int16, whichever runs faster here."""
    fp32, int16 = (open_engine("compact-despeckle", precision=one, threads=threads) for one in ("fp32", "int16"))
    faster, slower = (int16, fp32) if speed(int16, fp32) > 1 else (fp32, int16)
    slower.close()
    return faster


def live(waves: int, fps: float, seconds: float, threads: int) -> dict[str, Any]:
    """Row ``live``; frames that the probe lost because nobody took them in time are missed, too."""
    made = replace(acquisition(waves=waves), period_s=1 / fps)
    source = FormedSource(Probe(made), made, {"grid": "-20:20:0.156862745,5:45:0.156862745"})
    engine = faster_engine(threads)
    try:
        report = stream(source, engine, [], policy="latest", seconds=seconds)
    finally:
        source.close()
        engine.close()
    return {
        "case": "live",
        "frames": report.frames_in + report.gaps,
        "missed": report.late + report.dropped + report.failed + report.gaps,
        "gaps": report.gaps,
        "deadline_ms": report.deadline_ms,
        "latency_ms": report.latency_ms,
        "stages_ms": {stage: found["p50"] for stage, found in report.stages_ms.items()},
        "engine": report.engine,
        "waves": waves,
        "fps": fps,
        "seconds": seconds,
    }


def _das() -> Any:
    from edgerecon.beamform.methods import methods

    return methods()["das"]


def _pymust(signals: np.ndarray, iq: bool) -> tuple[Run, float] | None:
    try:
        return pymust_product(signals, iq)
    except ImportError:
        sys.stderr.write("PyMUST is not installed: no ratio\n")
        return None


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=30.0, help="of the live stream")
    parser.add_argument("--json", type=Path, help="write the rows here as well")
    parser.add_argument("--memory", type=int, metavar="WAVES", help="print the megabytes of that many, and end")
    asked = parser.parse_args()
    if asked.memory:
        sys.stdout.write(f"{memory_mb(asked.memory)}\n")
        return
    try:
        load_library()
    except EdgereconError as error:
        sys.exit(str(error))
    host, load = host_profile(), os.getloadavg()[0]
    rows = [row for iq in (False, True) for row in one_geometry(iq, asked.threads, asked.rounds)]
    rows += [picture(waves, "das", asked.threads, asked.rounds) for waves in (1, 11)]
    rows += [picture(1, method, asked.threads, 1 + asked.rounds // 5) for method in ("cf", "dmas", "gcf")]
    rows += [picture(1, "mv", asked.threads, 0), live(11, 30.0, asked.seconds, asked.threads)]
    for row in rows:
        numbers = "  ".join(f"{key} {value:.4g}" for key, value in row.items() if isinstance(value, float))
        sys.stdout.write(f"{row['case']:10} {numbers}\n")
    if asked.json:
        command = " ".join(["python", *sys.argv])
        result = {"rows": rows, "command": command, "load_before": load, "host": host}
        asked.json.write_text(json.dumps(result, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()

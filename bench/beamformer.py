"""The beamformer's speed and exactness beside PyMUST's, in the same run.

    edgerecon kernels build --cpu
    python bench/beamformer.py --json beamformer.json

A point is one pixel and one element: 63 001 pixels × 128 elements, all of them heard in ``single`` and ``batch`` as in
PyMUST's matrix. Each round runs ours and theirs in turn; a figure is that of the quickest round, by the wall clock, and
``cpu_points_per_s`` that of the least processor time, times the threads: what an idle machine does. ``max_error_db`` is
the largest difference from float64 formulas, below the largest value.

| case | |
|---|---|
| single, single-iq | one plane wave, RF or IQ with its rotation |
| batch, batch-iq | 32 frames of it, side by side, from rows of each frame |
| picture | 256×256, F/1.75, RF samples to grey levels |
| compound | the same of 11 plane waves |
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
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
from edgerecon.beamform.job import make_job
from edgerecon.beamform.summation import Summation
from edgerecon.core.errors import EdgereconError
from edgerecon.cpu.library import load_library
from edgerecon.hardware.device import host_profile

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
            if turn:
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


def pictures(waves: int, threads: int, rounds: int) -> dict[str, Any]:
    """Rows ``picture`` and ``compound``: RF of 16 bits to grey levels, 256×256, F/1.75."""
    made = acquisition(waves=waves)
    signals = np.random.default_rng(1).integers(-9000, 9000, made.shape).astype(np.int16)
    began = time.perf_counter()
    beamformer, compress = Beamformer(made, grid(256), threads=threads), LogCompression()
    set_up = time.perf_counter() - began
    run = lambda: compress(np.abs(beamformer(signals)))  # noqa: E731
    wall, spent = timed({"ours": run}, rounds)["ours"]
    points = 256 * 256 * ELEMENTS * waves
    return {
        "case": "picture" if waves == 1 else "compound",
        "points_per_s": points / wall,
        "ms": wall * 1e3,
        "cpu_ms": spent * 1e3,
        "load_ms": beamformer.load_ms,
        "form_ms": beamformer.form_ms,
        "set_up_s": set_up,
        "waves": waves,
        "threads": threads,
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
    parser.add_argument("--json", type=Path, help="write the rows here as well")
    asked = parser.parse_args()
    try:
        load_library()
    except EdgereconError as error:
        sys.exit(str(error))
    rows = [row for iq in (False, True) for row in one_geometry(iq, asked.threads, asked.rounds)]
    rows += [pictures(waves, asked.threads, asked.rounds) for waves in (1, 11)]
    for row in rows:
        numbers = "  ".join(f"{key} {value:.4g}" for key, value in row.items() if isinstance(value, float))
        sys.stdout.write(f"{row['case']:10} {numbers}\n")
    if asked.json:
        asked.json.write_text(json.dumps({"rows": rows, "host": host_profile()}, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()

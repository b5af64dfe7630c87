"""What a frame loses on its way through three threads: edgerecon, Holoscan, GStreamer and a plain OpenCV loop.

All do the same: a thread takes a 512×512 uint8 frame every few milliseconds, a second one converts it to float32 in
[0, 1] (by the same code) in place of inference, a third one notes the time since the frame was captured. Each runs in a
process of its own, a few seconds at a time and turn by turn, so that what else the machine does falls on all alike.

    python bench/stream_overhead.py --holoscan-python VENV/bin/python --json bench/results/stream-overhead.json

The loops are in stream_rivals.py; bench/peers/README.md says how each is driven and installed. One that does not run is
named with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np

from bench.stream_rivals import LOOPS, Job
from bench.stream_turns import LIBRARIES, reach, rotated, turn

SIDE = 512
QUANTILES = {"p50": 50, "p90": 90, "p99": 99, "p999": 99.9}
PEERS = ("edgerecon", "holoscan", "gstreamer", "opencv")
WARM = 50
"""Frames of every turn that are not counted."""


def play(name: str, count: int, period_s: float) -> list[int]:
    """One turn, in the process of its own: nanoseconds from capture to presentation of every frame."""
    noise = np.random.default_rng(0).integers(0, 256, (8, SIDE, SIDE), np.uint8)
    return [presented - captured for captured, presented in LOOPS[name](Job(noise, count, period_s))]


def percentiles(took: list[int]) -> dict[str, float]:
    return {name: float(np.percentile(took, q)) / 1e3 for name, q in QUANTILES.items()}


def compare(turns: int, count: int, period_s: float, realtime: bool, holoscan_python: str | None) -> dict[str, object]:
    pythons = {name: sys.executable for name in PEERS} | {"holoscan": holoscan_python}
    took: dict[str, list[int]] = {name: [] for name in PEERS}
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in PEERS}
    absent: dict[str, str] = {} if holoscan_python else {"holoscan": "no --holoscan-python was given"}
    loads = []
    arguments = ["--frames", str(count), "--period-ms", str(period_s * 1e3), *(["--realtime"] if realtime else [])]
    for order in rotated(PEERS, turns):
        for name in order:
            if name in absent:
                continue
            result = turn(__file__, str(pythons[name]), name, arguments)
            if isinstance(result, str):
                absent[name] = result
                continue
            took[name] += result[WARM:]
            rounds[name].append(percentiles(result[WARM:]))
        loads.append(os.getloadavg()[0])
    rows = {
        name: {
            "frames": len(took[name]),
            "us": percentiles(took[name]),
            "us_median_of_turns": {q: float(np.median([one[q] for one in rounds[name]])) for q in QUANTILES},
        }
        for name in PEERS
        if took[name]
    }
    ours = rows["edgerecon"]["us_median_of_turns"]
    ratios = {
        name: {q: ours[q] / row["us_median_of_turns"][q] for q in QUANTILES}  # type: ignore[index]
        for name, row in rows.items()
        if name != "edgerecon"
    }
    return {
        "shape": [SIDE, SIDE],
        "turns": turns,
        "frames_a_turn": count,
        "period_ms": period_s * 1e3,
        "realtime": realtime,
        "load_during": loads,
        "rows": rows,
        "edgerecon_over": ratios,
        "absent": absent,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--period-ms", type=float, default=5.0)
    parser.add_argument("--realtime", action="store_true", help="All under SCHED_FIFO: for a machine that is busy.")
    parser.add_argument("--holoscan-python")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peer", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument(LIBRARIES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if arguments.peer:
        reach(arguments.libraries)
        if arguments.realtime:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(20))
        took = play(arguments.peer, arguments.frames, arguments.period_ms / 1e3)
        print("\n" + json.dumps(took), flush=True)  # noqa: T201
        return
    from edgerecon.hardware.device import host_profile

    result = compare(
        arguments.turns, arguments.frames, arguments.period_ms / 1e3, arguments.realtime, arguments.holoscan_python
    )
    result["host"] = host_profile()
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps({name: value for name, value in result.items() if name != "host"}, indent=2))  # noqa: T201


if __name__ == "__main__":
    main()

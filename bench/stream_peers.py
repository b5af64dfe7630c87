"""A real engine in other streaming loops: the same frames, the same model, the same engine, from capture to present.

The 512×512 frames of the sample recording go through compact-despeckle in int8 (``open_engine`` chooses backend and
threads) in each loop of stream_rivals.py: at 30 fps, for latency and what misses 33.3 ms, and as fast as it goes. Each
loop runs in a process of its own, turn by turn. To present is to hand the float32 result to a third thread: nothing is
drawn or encoded.

    python bench/stream_peers.py --holoscan-python VENV/bin/python --inference-python VENV/bin/python --json FILE

bench/peers/README.md says how each loop is driven and installed. One that does not run is a row with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench.stream_rivals import LOOPS, Job
from bench.stream_turns import LIBRARIES, reach, rotated, turn

MODEL, PRECISION, SIDE = "compact-despeckle", "int8", 512
PERIOD_S = 1 / 30
WARM = 30
"""Frames of every turn that are not counted."""
QUANTILES = {"p50": 50, "p99": 99, "p999": 99.9}


def play(name: str, frames: Path, count: int, period_s: float) -> dict[str, Any]:
    """One turn, in the process of its own: {"seen": [(captured_ns, presented_ns), ...], "engine": what ran}."""
    from edgerecon.engines import open_engine

    job = Job(np.load(frames), count, period_s, open_engine(MODEL, precision=PRECISION))
    out = job.empty()
    for frame in [*job.frames] * 5:
        job.process(frame, out)
    spec = job.engine.spec
    engine = {"backend": spec.backend, "precision": spec.precision, "threads": spec.threads}
    return {"seen": LOOPS[name](job), "engine": engine}


def figures(turns: list[list[tuple[int, int]]], count: int) -> dict[str, Any]:
    """Of all turns of one loop: latencies over all frames, and each turn's own for the ratios.

    ``dropped`` of ``captured`` never arrived, ``late`` of ``timed`` came after the deadline; a turn's first frames are
    not timed. Unpaced, frames wait in whatever buffers a loop has, and only the turns' fps tell anything.
    """
    seen = [np.array(one[WARM:], float).reshape(-1, 2) / 1e6 for one in turns]
    ms = [one[:, 1] - one[:, 0] for one in seen]
    whole = np.concatenate(ms)
    return {
        "captured": count * len(turns),
        "dropped": sum(count - len(one) for one in turns),
        "timed": len(whole),
        "late": int((whole > PERIOD_S * 1e3).sum()),
        "ms": {name: float(np.percentile(whole, q, method="higher")) for name, q in QUANTILES.items()},
        "turns": {
            **{name: [float(np.percentile(one, q, method="higher")) for one in ms] for name, q in QUANTILES.items()},
            "fps": [(len(one) - 1) / (one[-1, 1] - one[0, 1]) * 1e3 for one in seen],
        },
    }


def ratios(row: dict[str, Any], base: dict[str, Any]) -> dict[str, list[float]]:
    """The row over edgerecon, for p50, p99 and fps: median over turns, low, high (95 % of resampled turns)."""
    from edgerecon.measure.bootstrap import percentile_interval, ratio_samples

    found = {}
    for name in ("p50", "p99", "fps"):
        samples = ratio_samples(np.array(row["turns"][name]), np.array(base["turns"][name]))
        found[name] = [float(np.median(samples)), *percentile_interval(samples)]
    return found


def compare(pythons: dict[str, str | None], turns: int, count: int, period_s: float, frames: Path) -> dict[str, Any]:
    """All loops at one pace: a row each, which holds figures or, as its status, why it has none."""
    rows: dict[str, dict[str, Any]] = {name: {"status": "ok"} for name in LOOPS}
    taken: dict[str, list[Any]] = {name: [] for name in LOOPS}
    for name, python in pythons.items():
        if python is None:
            rows[name]["status"] = f"no --{name.split('-')[0]}-python was given"
    arguments = ["--data", str(frames), "--frames", str(count), "--period-s", str(period_s)]
    for order in rotated(list(LOOPS), turns):
        for name in order:
            if rows[name]["status"] != "ok":
                continue
            found = turn(__file__, str(pythons[name]), name, arguments)
            if isinstance(found, str) or len(found["seen"]) < WARM + 2:
                rows[name]["status"] = found if isinstance(found, str) else f"it showed {len(found['seen'])} frames"
                continue
            taken[name].append(found["seen"])
            rows[name]["engine"] = found["engine"]
    ran = [name for name in LOOPS if rows[name]["status"] == "ok"]
    for name in ran:
        rows[name] |= figures(taken[name], count)
    for name in ran if "edgerecon" in ran else []:
        rows[name]["over_edgerecon"] = ratios(rows[name], rows["edgerecon"])
    return rows


def show(title: str, rows: dict[str, dict[str, Any]]) -> None:
    print(title)  # noqa: T201
    for name, row in rows.items():
        said = [row["status"]]
        if row["status"] == "ok":
            ms = " / ".join(f"{row['ms'][q]:.2f}" for q in QUANTILES)
            said = [f"p50/p99/p99.9 {ms} ms, {row['late']} of {row['timed']} late"] if title == "paced" else []
            said += [f"{row['dropped']} of {row['captured']} dropped, {np.median(row['turns']['fps']):.1f} fps"]
        for q, (middle, low, high) in row.get("over_edgerecon", {}).items():
            if (q == "fps") == (title == "unpaced") and name != "edgerecon":
                said.append(f"{q} {middle:.2f} ({low:.2f} to {high:.2f}) × edgerecon's")
        print(f"  {name}: {', '.join(said)}")  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--frames", type=int, default=600, help="A turn's; 20 s of them at 30 fps.")
    parser.add_argument("--holoscan-python")
    parser.add_argument("--inference-python")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peer", choices=LOOPS, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--period-s", type=float, help=argparse.SUPPRESS)
    parser.add_argument(LIBRARIES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if arguments.peer:
        reach(arguments.libraries)
        found = play(arguments.peer, arguments.data, arguments.frames, arguments.period_s)
        print("\n" + json.dumps(found), flush=True)  # noqa: T201
        return
    from edgerecon.bench.run import real_frames
    from edgerecon.hardware.device import host_profile

    pythons = dict.fromkeys(LOOPS, sys.executable)
    others = {"holoscan": arguments.holoscan_python, "inference-pipeline": arguments.inference_python}
    result: dict[str, Any] = {
        "model": MODEL,
        "shape": [SIDE, SIDE],
        "period_ms": PERIOD_S * 1e3,
        "turns": arguments.turns,
        "frames_a_turn": arguments.frames,
    }
    with tempfile.TemporaryDirectory() as folder:
        frames = Path(folder) / "frames.npy"
        np.save(frames, np.stack([cv2.resize(frame, (SIDE, SIDE)) for frame in real_frames("sample")]))
        for title, period_s in (("paced", PERIOD_S), ("unpaced", 0.0)):
            result[title] = compare({**pythons, **others}, arguments.turns, arguments.frames, period_s, frames)
            show(title, result[title])
    result |= {"load_after": os.getloadavg()[0], "host": host_profile()}
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

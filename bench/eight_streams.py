"""Eight live streams in one process against their deadline, as ``edgerecon serve`` runs them.

Simulated probes, each with a clock of its own, so that their frames come apart, as those of eight real ones would;
``--together`` starts them at the same time, which is the worst case.

    python bench/eight_streams.py --json bench/results/eight-streams.json
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgerecon.hardware.host import host_profile
from edgerecon.stream.serve import worker
from edgerecon.stream.serve.config import ServeConfig
from edgerecon.stream.serve.ledger import Look
from edgerecon.stream.serve.local import start_locally
from edgerecon.stream.serve.supervisor import Supervisor
from edgerecon.stream.sources.base import Capture
from edgerecon.stream.sources.live.sim import SimSource

SIDE = 256
WARM_S = 3.0


class Together(SimSource):
    """A probe whose frames are due at the same moments as those of all others."""

    def frames(self) -> Iterator[Capture]:
        assert self.period_s is not None
        time.sleep(-time.perf_counter() % self.period_s)
        yield from super().frames()


def measure(streams: int, seconds: float, fps: float, how: dict[str, Any]) -> dict[str, Any]:
    """Serve for so long; what happened before all streams ran for ``WARM_S`` does not count."""
    tables = [
        {"name": f"stream {at + 1}", "source": f"sim://?size={SIDE}x{SIDE}&fps={fps}", **how} for at in range(streams)
    ]
    config = ServeConfig.model_validate({"stream": tables})
    stop, since, first = threading.Event(), [0.0], dict[str, Look]()

    def told(looks: dict[str, Look]) -> None:
        now = time.monotonic()
        if not all(look.tally.presented for look in looks.values()):
            since[0] = now
        elif now - since[0] > WARM_S and not first:
            first.update(looks)
            since[0] = now
        elif first and now - since[0] > seconds:
            stop.set()

    load = os.getloadavg()[0]
    with start_locally() as make:
        supervisor = Supervisor(make)
        supervisor.run(config, lambda: config, stop, threading.Event(), told)  # type: ignore[arg-type]
        looks = supervisor.looks()
    rows = [_row(name, first[name], look) for name, look in looks.items()]
    frames, missed = sum(row["frames"] for row in rows), sum(row["missed"] for row in rows)
    return {
        "streams": rows,
        "frames": frames,
        "missed": missed,
        "deadline_miss_rate": missed / frames,
        "deadline_ms": 1e3 / fps,
        "seconds": seconds,
        "fps": fps,
        "shape": [SIDE, SIDE],
        "how": how,
        "load_before": load,
        "host": host_profile(),
    }


def _row(name: str, first: Look, last: Look) -> dict[str, Any]:
    """Late, dropped, failed, and gaps: a frame that could not be taken from the probe in time is missed too."""
    assert last.report is not None and last.error is None, last.error
    gaps = last.tally.gaps - first.tally.gaps
    return {
        "name": name,
        "frames": last.tally.frames_in - first.tally.frames_in + gaps,
        "missed": last.tally.missed - first.tally.missed + gaps,
        "latency_ms": last.report["latency_ms"],
        "infer_ms": last.report["stages_ms"]["infer"],
        "engine": last.report["engine"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--model", default="compact-despeckle")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--precision")
    parser.add_argument("--threads", type=int, help="of each engine; default: as serve chooses")
    parser.add_argument("--together", action="store_true", help="all frames come at the same moments")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.together:
        worker.open_source = lambda uri: Together(SIDE, SIDE, given.fps)
    how = {key: value for key in ("model", "backend", "precision", "threads") if (value := getattr(given, key))}
    result = {**measure(given.streams, given.seconds, given.fps, how), "together": given.together}
    if given.json:
        given.json.write_text(json.dumps(result, indent=2) + "\n")
    for row in result["streams"]:
        latency = ", ".join(f"{name} {ms:.1f}" for name, ms in row["latency_ms"].items())
        print(f"{row['name']}: {row['missed']} of {row['frames']} missed; ms: {latency}")  # noqa: T201
    print(  # noqa: T201
        f"{result['missed']} of {result['frames']} deadlines of {result['deadline_ms']:.1f} ms missed: "
        f"{100 * result['deadline_miss_rate']:.3f} %; load before: {result['load_before']:.1f}"
    )


if __name__ == "__main__":
    main()

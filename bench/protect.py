"""What leaving alone what is not tissue costs a frame: CPU time with and without, interleaved.

    python bench/protect.py --json bench/results/protect.json

A screen of 1920 × 1080 pixels holds a sector, a rectangle or tissue alone, with text beside it and over it. Each round
runs one frame through the bare engine and one through the protected one; the cost is the median of the differences of
CPU time (``time.process_time_ns``, all threads). "none" is an engine that copies a frame in place of a model: what
protection itself costs. A model on a CPU runs on the tissue's box alone, which saves more than protection costs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from edgerecon.core.frame import Image, to_unit
from edgerecon.engines import open_engine
from edgerecon.engines.base import Engine, EngineSpec
from edgerecon.hardware.device import host_profile
from edgerecon.modelfile.spec import ModelSpec
from edgerecon.stream.picture.finder import SETTLED_AFTER
from edgerecon.stream.picture.protect import ProtectedEngine

SHAPE = (1080, 1920)
LAYOUTS = ("sector", "rectangle", "tissue alone")


class CopyingEngine:
    """Gives back what it is given."""

    spec = EngineSpec(ModelSpec("none", "despeckle", 1, 1, "", receptive_field=46), "none", "fp32", 1)

    def run(self, frame: Image, out: Image | None = None) -> Image:
        """See ``edgerecon.engines.base.Engine.run``."""
        out = np.empty_like(frame) if out is None else out
        np.copyto(out, frame)
        return out

    def reset(self) -> None: ...

    def close(self) -> None: ...


def screen(layout: str, step: int) -> Image:
    """A scanner's screen; what moves differs from step to step."""
    random = np.random.default_rng(step)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    tissue = {
        "sector": (np.hypot(rows - 60, columns - 960) < 960) & (np.abs(columns - 960) < 0.9 * (rows - 40)),
        "rectangle": (rows >= 90) & (rows < 1000) & (columns >= 420) & (columns < 1500),
        "tissue alone": np.ones(SHAPE, bool),
    }[layout]
    frame = np.where(tissue, np.clip(random.rayleigh(40, SHAPE) + 1, 1, 240), 0).astype(np.uint8)
    for text, place in (("12 cm", (30, 60)), ("MI 0.9", (1700, 60)), ("LV", (960, 540))):
        cv2.putText(frame, text, place, cv2.FONT_HERSHEY_SIMPLEX, 1.2, 255, 2)
    return to_unit(frame)


def cost_ms(engine: Engine, layout: str, rounds: int) -> dict[str, object]:
    """One row: CPU milliseconds bare and protected, and their difference, after warm-up."""
    frames, out = [screen(layout, step) for step in range(4)], np.empty(SHAPE, np.float32)
    protected = ProtectedEngine(engine)
    for step in range(SETTLED_AFTER + 2):
        protected.run(frames[step % 4], out)
    bare = type(engine)() if isinstance(engine, CopyingEngine) else open_engine(engine.spec.model.name, threads=1)
    bare.run(frames[0], out)
    spent: list[tuple[float, float]] = []
    for turn in range(rounds):
        times = []
        for run in (bare.run, protected.run):
            before = time.process_time_ns()
            run(frames[turn % 4], out)
            times.append((time.process_time_ns() - before) / 1e6)
        spent.append((times[0], times[1]))
    return {
        "engine": engine.spec.backend,
        "layout": layout,
        "bare_cpu_ms": round(median(one[0] for one in spent), 3),
        "protected_cpu_ms": round(median(one[1] for one in spent), 3),
        "cost_cpu_ms": round(median(one[1] - one[0] for one in spent), 3),
    }


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="compact-despeckle", help="a shipped name or a path")
    parser.add_argument("--rounds", type=int, default=40, help="of the copying engine; a model takes a quarter")
    parser.add_argument("--note", default="interleaved", help="how it was measured, e.g. beside what else")
    parser.add_argument("--json", type=Path, help="write the rows here as well")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    rows = [cost_ms(CopyingEngine(), layout, asked.rounds) for layout in LAYOUTS]
    rows += [cost_ms(open_engine(asked.model, threads=1), layout, asked.rounds // 4) for layout in LAYOUTS]
    for row in rows:
        line = "{engine:12} {layout:14} bare {bare_cpu_ms:8} ms  protected {protected_cpu_ms:8}  cost {cost_cpu_ms}\n"
        sys.stdout.write(line.format(**row))
    if asked.json:
        result = {"command": "python bench/protect.py", "note": asked.note, "rows": rows, "host": host_profile()}
        asked.json.write_text(json.dumps(result, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()

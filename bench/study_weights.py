"""Measure the networks in export/study/ on the study's test scenes, as their ONNX files run, beside their rivals.

    python bench/study_weights.py --json bench/results/study-weights.json

The scenes are those of ``edgerecon study`` (quick and long): no training sees them. Every sequence starts with an empty
state; figures are means over its frames, intervals are over scenes. The rival is the classical method of the greatest
PSNR, tuned on training scenes as in the study.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgerecon.core.json import plain
from edgerecon.engines import open_engine
from edgerecon.hardware.device import host_profile
from edgerecon.modelfile.catalogue import model_path
from edgerecon.quality.measures.full_reference import mse, psnr, ssim
from edgerecon.study import degraded
from edgerecon.study.comparison import Method, compare, exported
from edgerecon.study.context import Context
from edgerecon.study.profile import Profile
from edgerecon.study.results import PSNR, Metric, Result, measured
from edgerecon.study.scenes import ultrasound
from edgerecon.study.systems import enhancement, recurrent, restoration

SEQUENCES, SCENES, SIZE = 24, 96, 128
QUICK = Profile("quick")
Row = dict[str, Any]


@dataclass(frozen=True)
class Shipped:
    """A file of export/study/. trained: for how long, in words. measure: (name, cache, scenes) → its figures."""

    name: str
    trained: str
    measure: Callable[[str, Path, int | None], Row]


def sequences(name: str, cache: Path, scenes: int | None) -> Row:
    """A recurrent network; its rival is another system's, see docs/study/recurrent.md."""
    ctx = Context(QUICK, cache / "recurrent", Result("recurrent", recurrent.TITLE, recurrent.PAPER))
    cases = recurrent.damaged_sequences(ctx, "test", scenes or SEQUENCES, SIZE, recurrent.FRAMES)
    values: dict[str, list[float]] = {"mse": [], "psnr_db": [], "ssim": []}
    with closing(open_engine(name, backend="onnxruntime", threads=1)) as engine:
        for case in cases:
            engine.reset()
            pairs = [(engine.run(frame).copy(), truth) for frame, truth in zip(case.given, case.truth, strict=True)]
            for key, measure in (("mse", mse), ("psnr_db", psnr), ("ssim", ssim)):
                values[key].append(float(np.mean([measure(*pair) for pair in pairs])))
    return {"scenes": len(cases), **measured(values)}


def restored(name: str, cache: Path, scenes: int | None) -> Row:
    """A network of a restoration task, study-TASK-FAMILY."""
    task = next(one for one in restoration.TASKS if f"-{one.name}-" in name)
    ctx = Context(QUICK, cache / "restoration", Result("restoration", restoration.TITLE, restoration.PAPER))
    train = ultrasound(ctx, "train", restoration.TUNED_ON, SIZE, 4)
    test = ultrasound(ctx, "unseen", scenes or SCENES, SIZE)
    cases = degraded.cases(test, task.make, ctx.rng(f"test {task.name}"))
    return beside(name, cases, restoration.classical(ctx, task, train), (PSNR, task.metric))


def enhanced(name: str, cache: Path, scenes: int | None) -> Row:
    """A network of the enhancement."""
    ctx = Context(QUICK, cache / "enhancement", Result("enhancement", enhancement.TITLE, enhancement.PAPER))
    train = ultrasound(ctx, "train", enhancement.TUNED_ON, SIZE, 3)
    test = ultrasound(ctx, "unseen", scenes or SCENES, SIZE)
    cases = degraded.cases(test, degraded.faint_and_noisy, ctx.rng("test frames"))
    return beside(name, cases, enhancement.classical_methods(ctx, train), (PSNR,))


def beside(name: str, cases: Any, rivals: Any, metrics: tuple[Metric, ...]) -> Row:
    """The network's figures, and the classical method that comes nearest by each metric."""
    network: Method = exported(name, model_path(name))
    found = compare(name, "", cases, [network, *rivals])
    values: Mapping[str, Any] = found.table.rows[0].values
    nearest = {}
    for metric in dict.fromkeys(metrics):
        best = max(rivals, key=lambda one: found.table.mean(one.name, metric.key)).name
        nearest[metric.key] = {"method": best, "label": metric.label, "mean": found.table.mean(best, metric.key)}
    kept = {key: values[key] for key in ("mse", "psnr_db", "ssim", "matched_psnr_db")}
    return {"scenes": len(cases), **kept, "classical": nearest}


NETWORKS = (
    Shipped(
        "study-conv-rnn",
        "2756 steps of 4 sequences of 8 frames, 64×64 pixels; nine minutes of one core",
        sequences,
    ),
    Shipped("study-denoising-dncnn", "4311 steps of 12 crops of 64×64 pixels; four minutes of one core", restored),
    Shipped("study-artefacts-dncnn", "600 steps of 12 crops of 64×64 pixels; half a minute of one core", restored),
    Shipped("study-contrast-dncnn", "400 steps of 12 crops of 64×64 pixels; a few seconds of one core", restored),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--scenes", type=int, help="of each network; default: as many as the study has")
    parser.add_argument("--cache", type=Path, default=Path("edgerecon-study/weights"))
    arguments = parser.parse_args()
    rows = [
        {
            "model": one.name,
            "trained": one.trained,
            "size_kb": model_path(one.name).stat().st_size / 1000,
            **one.measure(one.name, arguments.cache, arguments.scenes),
        }
        for one in NETWORKS
    ]
    found = {"command": "python bench/study_weights.py", "host": host_profile(), "rows": rows}
    text = json.dumps(plain(found), indent=1, ensure_ascii=False)
    sys.stdout.write(text + "\n")
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

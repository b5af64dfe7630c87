"""Measure the recurrent networks in export/study/ on the study's test scenes, as their ONNX files run.

    python bench/study_weights.py --json bench/results/study-weights.json

The scenes are those of ``edgerecon study`` (quick and long): no training sees them. Every sequence starts with an empty
state; figures are means over its frames, intervals are over scenes.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from pathlib import Path

import numpy as np

from edgerecon.core.json import plain
from edgerecon.engines import open_engine
from edgerecon.hardware.device import host_profile
from edgerecon.modelfile.catalogue import model_path
from edgerecon.quality.measures.full_reference import mse, psnr, ssim
from edgerecon.study.context import Context
from edgerecon.study.profile import Profile
from edgerecon.study.results import Result, measured
from edgerecon.study.systems import recurrent

TRAINED = {"study-conv-rnn": "1800 steps of 4 sequences of 8 frames, 64×64 pixels; about 6 minutes of one core"}
"""Name in export/study/ → how long it was trained."""
SCENES, SIZE = 24, 128


def scores(name: str, cases: list[recurrent.Sequence]) -> dict[str, list[float]]:
    """Metric → one value a scene."""
    values: dict[str, list[float]] = {"mse": [], "psnr_db": [], "ssim": []}
    with closing(open_engine(name, backend="onnxruntime", threads=1)) as engine:
        for case in cases:
            engine.reset()
            pairs = [(engine.run(frame).copy(), truth) for frame, truth in zip(case.given, case.truth, strict=True)]
            for key, measure in (("mse", mse), ("psnr_db", psnr), ("ssim", ssim)):
                values[key].append(float(np.mean([measure(*pair) for pair in pairs])))
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--cache", type=Path, default=Path("edgerecon-study/weights/recurrent"))
    arguments = parser.parse_args()
    ctx = Context(Profile("quick"), arguments.cache, Result("recurrent", recurrent.TITLE, recurrent.PAPER))
    cases = recurrent.damaged_sequences(ctx, "test", arguments.scenes, SIZE, recurrent.FRAMES)
    rows = [
        {
            "model": name,
            "trained": trained,
            "size_kb": model_path(name).stat().st_size / 1000,
            "scenes": len(cases),
            **measured(scores(name, cases)),
        }
        for name, trained in TRAINED.items()
    ]
    found = {"command": "python bench/study_weights.py", "host": host_profile(), "rows": rows}
    text = json.dumps(plain(found), indent=1, ensure_ascii=False)
    sys.stdout.write(text + "\n")
    if arguments.json:
        arguments.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

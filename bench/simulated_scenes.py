"""What models do to simulated scenes, where the truth is known; nothing is matched in gain or offset.

python bench/simulated_scenes.py --json bench/results/simulated-scenes.json

- psnr_db, ssim: against the truth of the eight scenes of export/heldout.npz, beside non-local means, whose strength is
  the best of nine on these very scenes.
- compound: compact-compound and its input, one plane wave, against the frame of 31 plane waves on eight scenes.
- cyst, solid: share of a lesion's contrast that is kept, on 60 scenes with one (quality/measures/lesion_contrast.py).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from edgerecon.core.frame import Image, to_unit
from edgerecon.deploy.export.measure import lesion_scenes
from edgerecon.engines import open_engine
from edgerecon.hardware.device import host_profile
from edgerecon.measure.bootstrap import interval
from edgerecon.modelfile.catalogue import model_path
from edgerecon.quality.datasets.heldout import HeldOut, find_heldout
from edgerecon.quality.filters.classical import non_local_means
from edgerecon.quality.measures.before_after import BeforeAfter
from edgerecon.quality.measures.full_reference import psnr, ssim
from edgerecon.quality.measures.lesion_contrast import lesion_contrast

MODELS = ["compact-despeckle-large", "compact-despeckle", "compact-despeckle-small", "compact-despeckle-w8d4"]
COMPOUND = "compact-compound"
STRENGTHS = [0.02 * step for step in range(2, 11)]
LESIONS = 60

Filter = Callable[[Image], Image]


def restored(act: Filter, scenes: HeldOut) -> dict[str, Any]:
    pairs = [(act(to_unit(before)), to_unit(truth)) for before, truth in zip(scenes.given, scenes.wanted, strict=True)]
    return {
        "psnr_db": fmean(psnr(after, truth) for after, truth in pairs),
        "ssim": fmean(ssim(after, truth) for after, truth in pairs),
    }


def contrast_kept(act: Filter) -> dict[str, Any]:
    frames = [BeforeAfter(frame, act(frame), lesion=lesion) for frame, lesion in lesion_scenes(LESIONS)]
    found: dict[str, Any] = {}
    for kind in ("cyst", "solid"):
        values = [lesion_contrast(frame, kind) for frame in frames]
        found[kind] = interval([value for value in values if np.isfinite(value)])
    return found


def opened(model: str) -> Filter:
    """The model as a function of an image."""
    engine = open_engine(model, "onnxruntime", threads=1)

    def act(image: Image) -> Image:
        return np.array(engine.run(np.ascontiguousarray(image)))

    return act


def compounded() -> dict[str, Any]:
    """PSNR and SSIM of one plane wave, and of what compact-compound makes of it."""
    scenes = find_heldout(model_path(COMPOUND), "compound")
    assert scenes is not None
    return {"one plane wave": restored(np.array, scenes), COMPOUND: restored(opened(COMPOUND), scenes)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    path = parser.parse_args().json
    scenes = find_heldout(model_path(MODELS[0]), "despeckle")
    assert scenes is not None
    result: dict[str, Any] = {"command": "python bench/simulated_scenes.py", "scenes": len(scenes.given)}
    result |= {"lesions": LESIONS, "host": host_profile(), "rows": {}}
    filters = {h: restored(partial(non_local_means, h=h), scenes) for h in STRENGTHS}
    best = max(filters, key=lambda h: filters[h]["psnr_db"])
    kept = contrast_kept(partial(non_local_means, h=best))
    result["rows"]["non-local means"] = {"strength": best, **filters[best], **kept}
    for model in MODELS:
        act = opened(model)
        result["rows"][model] = restored(act, scenes) | contrast_kept(act)
    result["compound"] = compounded()
    for name, row in (result["rows"] | result["compound"]).items():
        print(name, row)  # noqa: T201
    if path:
        path.write_text(json.dumps(result, indent=2, default=list) + "\n")


if __name__ == "__main__":
    main()

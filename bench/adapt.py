"""Which way of adapting a model to a scanner without targets is the better one: a trial over scanners.

    python bench/adapt.py ULTRASOUND --displays display.h5 --json bench/results/adapt.json

For each scanner the shipped model learns on for as many steps from displays that look like its recordings (matched),
and from the next frame of the same recording as target (neighbours; Lehtinen et al., ICML 2018, whose noise would have
to be independent from frame to frame). Both are judged alike: by matched displays that were held out, and by the
measures of the picture on frames of the recordings that were not learned from. ``--displays``: of ``edgerecon simulate
--kind display``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from edgerecon.core.errors import EdgereconError
from edgerecon.core.frame import Image, to_uint8, to_unit
from edgerecon.core.shipped import resource_dir
from edgerecon.deploy.adapt import compare_with_shipped, write_onnx
from edgerecon.hardware.device import host_profile
from edgerecon.modelfile.catalogue import model_path
from edgerecon.modelfile.file import read_model
from edgerecon.stream.sources import open_source
from edgerecon.workshop.adapt.recordings import read_recordings
from edgerecon.workshop.adapt.statistics import PATCH
from edgerecon.workshop.adapt.tune import DISPLAYS, PLAN, START, adapted_recipe, prepare, tune
from edgerecon.workshop.data.datasets import FORMAT
from edgerecon.workshop.recipe import load_recipe
from edgerecon.workshop.train.loop import train

SCANNERS = {
    "Butterfly iQ (eye phantom)": ("cine/itkpocus_butterfly-ocular-phantom.mp4",),
    "Philips S4-2 and L12-4": ("cine/sonocrop_simple_soft_tissue.npz", "cine/sonocrop_test.npz"),
    "GE LOGIQ Book e 8L-RS": ("cine/flowave_brachial.npz",),
    "Ultrasonix L14-5": ("cine/BoneUltrasound_L14.igs.mha",),
    "TELEMED (calf)": ("frames/timtrack_gm_sampleA.npz", "frames/timtrack_gm_telemed_030.npz"),
    "vastus lateralis": tuple(f"frames/timtrack_vl_S{number}.npz" for number in range(1, 6)),
}


def neighbours(paths: list[str], out: Path) -> None:
    """Patches of a frame and of the next one, as pairs."""
    with h5py.File(out, "w") as file:
        file.attrs["format"] = FORMAT
        count = 0
        for path in paths:
            frames: list[Image] = []
            for capture in open_source(path).frames():
                if capture.image is not None and len(frames) < 24:
                    frames.append(to_uint8(to_unit(capture.image)))
            for before, after in zip(frames, frames[1:], strict=False):
                if before.shape != after.shape:
                    continue
                for y in range(0, before.shape[0] - PATCH + 1, PATCH):
                    for x in range(0, before.shape[1] - PATCH + 1, PATCH):
                        window = np.s_[y : y + PATCH, x : x + PATCH]
                        if before[window].mean() > 8:
                            group = file.create_group(f"sample_{count:05d}")
                            group["shown"], group["expected"] = before[window], after[window]
                            count += 1


def row(name: str, paths: list[str], model: str, displays: Path, steps: int) -> dict[str, object]:
    """Both ways on one scanner."""
    recipe = load_recipe(resource_dir("export") / f"{model}.toml")
    material, began = read_recordings(paths), time.process_time()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        shutil.copy(displays, folder / DISPLAYS)
        nearer = prepare(recipe, read_model(model_path(model)), material.looks, folder, 0, None)
        (folder / PLAN).write_text(json.dumps({"steps": steps}))
        write_onnx(recipe, tune(recipe, folder, 0, resume=True), folder / "matched.onnx")
        found: dict[str, object] = {"scanner": name, "frames": len(material.frames), "distance": round(nearer, 2)}
        found["matched"] = compare_with_shipped(recipe, model, folder / "matched.onnx", material, folder).to_json()
        neighbours(paths, folder / "neighbours.h5")
        other = adapted_recipe(recipe, folder, steps)
        data = other.data.model_copy(update={"file": folder / "neighbours.h5", "mixed": ()})
        other = other.model_copy(update={"data": data})
        best = train(other, run_dir=folder / "neighbours", weights=folder / START, accelerator="cpu")
        write_onnx(recipe, best, folder / "neighbours.onnx")
        found["neighbours"] = compare_with_shipped(
            recipe, model, folder / "neighbours.onnx", material, folder
        ).to_json()
    return found | {"cpu_s": round(time.process_time() - began)}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ultrasound", type=Path, help="folder of real recordings")
    parser.add_argument("--model", default="compact-despeckle")
    parser.add_argument("--displays", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--scanner", nargs="*", help="parts of names; default: all")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rows = []
    for name, files in SCANNERS.items():
        if asked.scanner and not any(part in name for part in asked.scanner):
            continue
        try:
            rows.append(
                row(name, [str(asked.ultrasound / one) for one in files], asked.model, asked.displays, asked.steps)
            )
        except EdgereconError as error:
            rows.append({"scanner": name, "error": str(error)})
        sys.stdout.write(json.dumps(rows[-1]) + "\n")
        sys.stdout.flush()
        if asked.json:
            asked.json.write_text(
                json.dumps({"rows": rows, "steps": asked.steps, "host": host_profile()}, indent=1) + "\n"
            )


if __name__ == "__main__":
    main()

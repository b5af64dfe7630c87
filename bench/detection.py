"""Does a lesion stay detectable after a shipped model? On simulated scenes whose truth is known.

    python bench/detection.py --json bench/results/detection.json

One DenseNet-201 learns from raw frames alone, as in the study (edgerecon/study/systems/diagnosis.py): no lesion, a cyst
or a solid one, in frames of 128 pixels at half size. The test scenes, which it never saw, are then read raw, after
non-local means, after each shipped model, and without speckle (truth). AUCs are of lesion or none, and of cyst or solid
where there is one; "less raw" is the difference on the same scenes. Lesion contrast kept is output over input
(quality/measures/lesion_contrast.py).
"""

from __future__ import annotations

import argparse
import functools
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgerecon.core.frame import Image, to_uint8, to_unit
from edgerecon.engines import open_engine
from edgerecon.hardware.device import host_profile
from edgerecon.measure.bootstrap import interval
from edgerecon.quality.filters.classical import non_local_means
from edgerecon.quality.measures.before_after import BeforeAfter, Lesion
from edgerecon.quality.measures.lesion_contrast import lesion_contrast
from edgerecon.study.detection import auc, auc_difference
from edgerecon.study.labelled import classifier_batches, cross_entropy, labelled_scene, probabilities
from edgerecon.study.scenes import in_parallel
from edgerecon.study.training import Schedule, train_network
from edgerecon.workshop.data.lesions import CLASSES, Labelled
from edgerecon.workshop.models.densenet import DenseNet
from edgerecon.workshop.train.steps import Supervised

SIZE, TRAINED, TESTED, STEPS, BATCH = 128, 270, 240, 124, 16
MODELS = ("compact-despeckle-large", "compact-despeckle", "compact-despeckle-small", "compact-despeckle-w8d4")
STRENGTH = 0.12
"""Of non-local means: the best of bench/simulated_scenes.py."""
Act = Callable[[Image], Image]
Scores = NDArray[np.float32]


def scenes(seed: int, count: int) -> list[Labelled]:
    """The classes in turn; no scene is in two seeds."""
    return list(in_parallel(functools.partial(labelled_scene, seed, size=SIZE, looks=1), count))


def halved(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Means over 2×2 pixels, (scenes, H, W)."""
    count, height, width = images.shape
    cells = images.reshape(count, height // 2, 2, width // 2, 2)
    return np.asarray(np.rint(cells.mean(axis=(2, 4), dtype=np.float32)), np.uint8)


def trained_classifier(found: list[Labelled]) -> DenseNet:
    torch.manual_seed(0)
    network = DenseNet(len(CLASSES))
    images = halved(np.stack([scene.speckled[0] for scene in found]))
    draw = classifier_batches(images[:, None], np.array([scene.label for scene in found]), BATCH)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "classifier.pt"
        train_network(Supervised(network, cross_entropy), draw, Schedule(STEPS, 1e-3), path, key="", seed=0)
    return network


def acts() -> dict[str, Act]:
    """What each frame is read after."""

    def model(name: str) -> Act:
        engine = open_engine(name, "onnxruntime", threads=1)
        return lambda image: np.array(engine.run(np.ascontiguousarray(image)))

    filters: dict[str, Act] = {"raw": lambda image: image, "non-local means": lambda i: non_local_means(i, h=STRENGTH)}
    return filters | {name: model(name) for name in MODELS}


def contrast_kept(found: list[Labelled], frames: NDArray[np.uint8]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for kind in ("cyst", "solid"):
        these = [index for index, scene in enumerate(found) if CLASSES[scene.label] == kind]
        pairs = [
            BeforeAfter(to_unit(found[i].speckled[0]), to_unit(frames[i]), lesion=Lesion(kind, found[i].radius))
            for i in these
        ]
        kept = [value for value in map(lesion_contrast, pairs) if np.isfinite(value)]
        values[f"{kind}_contrast"] = interval(kept)
    return values


def areas(scores: Scores, raw: Scores, labels: NDArray[np.int64]) -> dict[str, Any]:
    """AUCs of class probabilities (scenes, classes), and what they are more than those of the raw frames."""
    ill, cyst = labels > 0, labels[labels > 0] == CLASSES.index("cyst")
    lesion, before = 1 - scores[:, 0], 1 - raw[:, 0]
    kind, kind_before = (each[ill, 1] / np.maximum(each[ill, 1:].sum(axis=1), 1e-9) for each in (scores, raw))
    return {
        "auc": auc(lesion, ill),
        "auc_less_raw": auc_difference(lesion, before, ill),
        "cyst_auc": auc(kind, cyst),
        "cyst_auc_less_raw": auc_difference(kind, kind_before, cyst),
    }


def measure() -> dict[str, Any]:
    network, tested = trained_classifier(scenes(1, TRAINED)), scenes(2, TESTED)
    labels = np.array([scene.label for scene in tested])
    frames: Mapping[str, NDArray[np.uint8]] = {
        name: np.stack([to_uint8(act(to_unit(scene.speckled[0]))) for scene in tested]) for name, act in acts().items()
    } | {"truth": np.stack([scene.clean[0] for scene in tested])}
    read = {name: probabilities(network, halved(images) / np.float32(255)) for name, images in frames.items()}
    return {name: areas(read[name], read["raw"], labels) | contrast_kept(tested, frames[name]) for name in frames}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    path, began = parser.parse_args().json, time.process_time()
    result: dict[str, Any] = {
        "command": "python bench/detection.py",
        "scenes": {"trained": TRAINED, "tested": TESTED},
        "steps": STEPS,
        "host": host_profile(),
        "rows": measure(),
        "cpu_s": round(time.process_time() - began),
    }
    for name, row in result["rows"].items():
        shown = {key: f"{v['mean']:.3f} [{v['low']:.3f}, {v['high']:.3f}]" for key, v in row.items()}
        print(name, shown)  # noqa: T201
    if path:
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

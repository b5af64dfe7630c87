"""What the true picture scores by the measures of the picture, so that their aims can be read.

python bench/true_picture.py --json bench/results/true-picture.json

On simulated displays that no training saw (seed 3001) the expected display, which holds no speckle, is measured as if a
filter had made it, beside what models make of the same displays. Displays of one texture alone tell tissues apart:
where fibres fill the calmest quarter, "speckle left" counts them as well. Lesions are those of the gate on their
contrast, with the frame that ``fast_sample`` gives without speckle.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgerecon.core.frame import Image, to_unit
from edgerecon.engines import open_engine
from edgerecon.hardware.device import host_profile
from edgerecon.measure.bootstrap import interval
from edgerecon.quality.measures.before_after import BeforeAfter, Lesion
from edgerecon.quality.measures.lesion_contrast import lesion_contrast
from edgerecon.quality.measures.measure import measure_frame
from edgerecon.workshop.data.display.sample import simulate_sample
from edgerecon.workshop.data.display.textures import TEXTURES
from edgerecon.workshop.data.lesions import CLASSES, labelled_sample

MODELS = ["compact-despeckle", "compact-despeckle-large"]
TRUTH = "true picture"
SEED, DISPLAYS, LESIONS = 3001, 160, 60
LOOKS = {"1 or 2 looks": (1, 2), "3 to 6 looks": (3, 6), "9 looks and more": (9, 100)}
"""Independent frames that a display averages → (least, most); scanners compound."""
KEYS = ["structure", "speckle_left", "brightness_moved", "highlights", "spill", "text", "edge_width", "point_width"]

Scored = dict[str, dict[str, list[float]]]
"""Picture → measure → value of each display; nan where there is nothing to measure."""


def scored(pairs: Sequence[tuple[Image, Image]], act: dict[str, Callable[[Image], Image]], keys: list[str]) -> Scored:
    found: Scored = {name: {key: [] for key in keys} for name in (TRUTH, *act)}
    for shown, expected in pairs:
        for name, after in ((TRUTH, expected), *((name, run(shown)) for name, run in act.items())):
            for key, value in measure_frame(BeforeAfter(shown, after), keys).items():
                found[name][key].append(float(value))
    return found


def with_intervals(found: Scored, chosen: Sequence[bool] | None = None) -> dict[str, Any]:
    """Picture → measure → mean with its interval, over the displays chosen and measured."""
    result: dict[str, Any] = {}
    for name, columns in found.items():
        result[name] = {}
        for key, values in columns.items():
            kept = np.array(values)[np.array(chosen)] if chosen is not None else np.array(values)
            result[name][key] = interval(kept[np.isfinite(kept)].tolist())
    return result


def textures(act: dict[str, Callable[[Image], Image]]) -> Iterator[dict[str, Any]]:
    """Speckle left in displays of one texture alone, of all and by looks."""
    for texture in TEXTURES:
        made = [simulate_sample(SEED, index, texture) for index in range(DISPLAYS)]
        found = scored([_pair(fields) for fields, _ in made], act, ["speckle_left"])
        averaged = [int(facts["looks"]) * int(facts["persistence"]) for _, facts in made]
        for looks, (low, high) in {"all": (1, 100), **LOOKS}.items():
            chosen = [low <= count <= high for count in averaged]
            row = {"texture": texture.__name__, "looks": looks, "displays": sum(chosen)}
            yield row | {"pictures": with_intervals(found, chosen)}


def lesions(act: dict[str, Callable[[Image], Image]]) -> dict[str, Any]:
    """Contrast kept of cysts and of solid lesions, picture by picture."""
    found: Scored = {name: {"cyst": [], "solid": []} for name in (TRUTH, *act)}
    for index in range(LESIONS):
        kind = ("cyst", "solid")[index % 2]
        made = labelled_sample(np.random.default_rng([17, index]), CLASSES.index(kind), 128)
        shown, clean, lesion = to_unit(made.speckled[0]), to_unit(made.clean[0]), Lesion(kind, made.radius)  # type: ignore[arg-type]
        for name, after in ((TRUTH, clean), *((name, run(shown)) for name, run in act.items())):
            found[name][kind].append(lesion_contrast(BeforeAfter(shown, after, lesion=lesion)))
    return with_intervals(found)


def opened(model: str) -> Callable[[Image], Image]:
    engine = open_engine(model, "onnxruntime", threads=1)
    return lambda image: np.array(engine.run(np.ascontiguousarray(image)))


def _pair(fields: dict[str, Any]) -> tuple[Image, Image]:
    return to_unit(fields["shown"]), to_unit(fields["expected"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    path = parser.parse_args().json
    act = {model: opened(model) for model in MODELS}
    pairs = [_pair(simulate_sample(SEED, index)[0]) for index in range(DISPLAYS)]
    result: dict[str, Any] = {"command": "python bench/true_picture.py", "displays": DISPLAYS, "lesions": LESIONS}
    result["measures"] = with_intervals(scored(pairs, act, KEYS))
    result["contrast"] = lesions(act)
    result["textures"] = list(textures(act))
    for name, row in result["measures"].items():
        print(name, {key: round(value["mean"], 3) for key, value in row.items()}, result["contrast"][name])  # noqa: T201
    for row in result["textures"]:
        means = {name: round(one["speckle_left"]["mean"], 3) for name, one in row["pictures"].items()}
        print(row["texture"], row["looks"], row["displays"], means)  # noqa: T201
    if path:
        path.write_text(json.dumps(result | {"host": host_profile()}, indent=2, default=list) + "\n")


if __name__ == "__main__":
    main()

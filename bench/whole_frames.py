"""What models do to whole frames as scanners give them: levels, flicker, what stands still, black, borders and text.

python bench/whole_frames.py FOLDER takes the first eight frames of every recording. Grey levels are of 255.

- level: mean after over mean before.
- change: mean difference of a frame to the next one, after over before.
- still: the same where the recording stands still (within half a level) and is not black, after alone, in levels.
- black: the largest level after where all frames are 0 within 40 pixels, further than a model sees.
- border: the middle of a frame processed alone against the same pixels of the whole frame, mean difference in levels on
  the 12 outermost pixels; and again with four pixels of edge replication around it, cut away afterwards.
- text: what white text on black keeps of its contrast.
"""

from __future__ import annotations

import argparse
import json
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

import cv2
import numpy as np

from edgerecon.core.errors import SourceError
from edgerecon.core.frame import Image, to_unit
from edgerecon.engines import open_engine
from edgerecon.engines.base import Engine
from edgerecon.hardware.device import host_profile
from edgerecon.stream.sources import open_source

MODELS = [
    "compact-despeckle-large",
    "compact-despeckle",
    "compact-despeckle-small",
    "compact-despeckle-w8d4",
    "compact-compound",
]
FRAMES, RIM, MARGIN, FAR = 8, 12, 4, 40


def recordings(folder: Path) -> dict[str, np.ndarray]:
    """Name → (T, H, W) in [0, 1]; what is no recording of images is left out."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            source = open_source(str(path))
        except SourceError:
            continue
        images = [to_unit(one.image) for one in islice(source.frames(), FRAMES) if one.image is not None]
        source.close()
        found[path.name] = np.stack([image.copy() for image in images if image.shape == images[0].shape])
    return found


def run(engine: Engine, image: Image, margin: int = 0) -> Image:
    height, width = image.shape
    whole = engine.run(np.pad(image, margin, mode="edge") if margin else np.ascontiguousarray(image))
    return np.array(whole[margin : margin + height, margin : margin + width])


def measured(engine: Engine, before: np.ndarray) -> dict[str, float | None]:
    """The measures of one recording that it has pixels for."""
    after = np.stack([run(engine, image) for image in before])
    found: dict[str, float | None] = {"level": float(after.mean() / before.mean())}
    if len(before) > 1:
        found["change"] = float(np.abs(np.diff(after, axis=0)).mean() / np.abs(np.diff(before, axis=0)).mean())
        still = (np.ptp(before, axis=0) < 0.5 / 255) & (before.min(0) > 0.02)
        found["still"] = 255 * float(np.abs(np.diff(after[:, still], axis=0)).mean()) if still.sum() > 100 else None
    lit = (before.max(0) > 0).astype(np.uint8)
    black = cv2.dilate(lit, np.ones((2 * FAR + 1, 2 * FAR + 1), np.uint8)) == 0
    found["black"] = 255 * float(after[:, black].max()) if black.any() else None
    height, width = (size // 4 * 2 for size in before.shape[1:])
    rows, columns = slice(height // 4 * 2, height // 4 * 2 + height), slice(width // 4 * 2, width // 4 * 2 + width)
    middle, truth = before[0, rows, columns], after[0, rows, columns]
    inner = slice(RIM, -RIM)
    for name, margin in (("border", 0), ("border, edge replicated", MARGIN)):
        error = np.abs(run(engine, middle, margin) - truth)
        error[inner, inner] = np.nan
        found[name] = 255 * float(np.nanmean(error))
    return found


def text_kept(engine: Engine) -> float:
    page = np.zeros((160, 240), np.uint8)
    for line, text in enumerate(("DEPTH 15 cm", "MI 0.9  TIS 0.2", "12:34:56  78 %")):
        cv2.putText(page, text, (20, 40 + 40 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 1, cv2.LINE_AA)
    image = page.astype(np.float32) / 255
    drawn = image > 0.5
    return float(run(engine, image)[drawn].mean() / image[drawn].mean())


def mean(rows: list[dict[str, Any]], key: str) -> float | None:
    values = [row[key] for row in rows if row.get(key) is not None]
    return fmean(values) if values else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = recordings(arguments.folder)
    result: dict[str, Any] = {"recordings": len(found), "models": {}, "host": host_profile()}
    for model in MODELS:
        engine = open_engine(model, "onnxruntime", threads=1)
        rows = [measured(engine, before) for before in found.values()]
        keys = dict.fromkeys(key for row in rows for key in row)
        result["models"][model] = {key: mean(rows, key) for key in keys} | {"text": text_kept(engine)}
        levels = [row["level"] for row in rows if row["level"] is not None]
        result["models"][model] |= {"lowest level": min(levels), "highest level": max(levels)}
        shown = ", ".join(f"{key} {value:.3f}" for key, value in result["models"][model].items() if value is not None)
        print(f"{model}: {shown}")  # noqa: T201
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

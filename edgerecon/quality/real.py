"""Score a model on real frames against the classical trade-off front, quickly enough to compare candidates.

Cost: the classical sweep (some 40 filter settings a frame, non-local means and SRAD foremost) takes minutes once and
is then read from ``cache``; a call after that costs the model's own inference and about 20 ms a frame and blend.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from edgerecon.errors import DataError
from edgerecon.frame import Image, to_unit
from edgerecon.quality import classical, tradeoff
from edgerecon.quality.no_reference import measure
from edgerecon.quality.regions import Regions, find_regions

BLENDS = (0.25, 0.5, 0.75, 1.0)
"""b in ``input + b·(model − input)``."""


def score(
    run: Callable[[Image], Image],
    shared_folder: Path,
    frames_per_file: int = 2,
    cache: Path | None = None,
    blends: Sequence[float] = BLENDS,
) -> dict[str, Any]:
    """Measure a model on the ``.npz`` recordings below a folder; those are cropped to the image area.

    Args:
        run: reconstructs one frame, float32 (H, W) in [0, 1] → same shape.
        shared_folder: searched recursively for ``.npz`` files with ``frames`` (T, H, W).
        frames_per_file: frames taken from each, evenly spaced.
        cache: JSON file that keeps the classical points between calls; made anew when recordings or filters change.
        blends: strengths at which the model's own curve is traced; 1 is always measured.

    Returns:
        ``snr_ratio, edge, gcnr_change, classical_at_edge, advantage_percent`` (means over files, the classical front
        made from means over the same files), ``curve`` (one entry per blend), ``front``, and ``files``: the same
        figures for each file.

    Raises:
        DataError: no recording found, or one is unreadable.
    """
    frames = load_frames(shared_folder, frames_per_file)
    regions = {name: [find_regions(image) for image in images] for name, images in frames.items()}
    points = _classical_points(frames, regions, cache)
    outputs = {name: [run(image) for image in images] for name, images in frames.items()}
    blended = {b: _per_file(frames, regions, outputs, b) for b in sorted({*blends, 1.0})}
    files = {
        name: _entry(figures, [(p[name]["edge"], p[name]["snr_ratio"]) for p in points.values()])
        for name, figures in blended[1.0].items()
    }
    mean_points = [(_mean(p, "edge"), _mean(p, "snr_ratio")) for p in points.values()]
    curve = [{"blend": b, **_entry(_means(values), mean_points)} for b, values in blended.items()]
    return {
        **_entry(_means(blended[1.0]), mean_points),
        "curve": curve,
        "front": tradeoff.front(mean_points),
        "files": files,
    }


def load_frames(folder: Path, frames_per_file: int) -> dict[str, list[Image]]:
    """Evenly spaced frames of each ``.npz`` recording below a folder, by file name."""
    found: dict[str, list[Image]] = {}
    for path in sorted(folder.rglob("*.npz")):
        try:
            with np.load(path, allow_pickle=False) as content:
                stack = content["frames"]
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{path} holds no readable 'frames' array: {error}") from error
        picks = np.linspace(0, len(stack) - 1, frames_per_file + 2)[1:-1].astype(int)
        found[path.stem] = [to_unit(stack[i]) for i in dict.fromkeys(picks.tolist())]
    if not found:
        raise DataError(f"no .npz recording below {folder}")
    return found


Figures = dict[str, float]


def _per_file(
    frames: dict[str, list[Image]], regions: dict[str, list[Regions]], outputs: dict[str, list[Image]], blend: float
) -> dict[str, Figures]:
    """Mean figures of each file for filtered frames mixed with their inputs."""
    return {
        name: _means_of(
            [
                asdict(measure(image, image + np.float32(blend) * (output - image), found))
                for image, output, found in zip(frames[name], outputs[name], regions[name], strict=True)
            ]
        )
        for name in frames
    }


def _classical_points(
    frames: dict[str, list[Image]], regions: dict[str, list[Regions]], cache: Path | None
) -> dict[str, dict[str, Figures]]:
    """{filter and parameters: {file: figures}} of every setting in the grids."""
    key = _fingerprint(frames)
    if cache is not None and cache.is_file():
        try:
            kept = json.loads(cache.read_text(encoding="utf-8"))
        except ValueError:  # half-written or foreign: made anew below
            kept = {}
        if isinstance(kept, dict) and kept.get("key") == key:
            return kept["points"]
    points = {}
    for name, grid in classical.GRIDS.items():
        for parameters in grid:
            outputs = {f: [classical.FILTERS[name](i, **parameters) for i in images] for f, images in frames.items()}
            points[f"{name} {json.dumps(parameters)}"] = _per_file(frames, regions, outputs, 1.0)
    if cache is not None:
        temporary = cache.with_name(cache.name + ".part")
        temporary.write_text(json.dumps({"key": key, "points": points}), encoding="utf-8")
        os.replace(temporary, cache)
    return points


def _fingerprint(frames: dict[str, list[Image]]) -> str:
    digest = hashlib.sha256(json.dumps(classical.GRIDS).encode())
    for module in ("classical", "no_reference", "regions", "speckle", "full_reference", "real"):
        digest.update((Path(__file__).with_name(f"{module}.py")).read_bytes())
    for images in frames.values():
        for image in images:
            digest.update(image.tobytes())
    return digest.hexdigest()


def _entry(figures: Figures, points: list[tradeoff.Point]) -> Figures:
    place = (figures["edge"], figures["snr_ratio"])
    return {
        "snr_ratio": figures["snr_ratio"],
        "edge": figures["edge"],
        "gcnr": figures["gcnr"],
        "gcnr_change": figures["gcnr_change"],
        "classical_at_edge": tradeoff.front_at(tradeoff.front(points), figures["edge"]),
        "advantage_percent": tradeoff.advantage_percent(place, points),
    }


def _mean(per_file: dict[str, Figures], key: str) -> float:
    finite = [f[key] for f in per_file.values() if np.isfinite(f[key])]
    return fmean(finite) if finite else float("nan")


def _means(per_file: dict[str, Figures]) -> Figures:
    return {key: _mean(per_file, key) for key in next(iter(per_file.values()))}


def _means_of(rows: list[Figures]) -> Figures:
    return _means({str(i): row for i, row in enumerate(rows)})

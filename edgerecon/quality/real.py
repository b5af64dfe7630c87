"""Score a model on real frames against the classical trade-off front, quickly enough to compare candidates.

Cost: the classical sweep (see ``sweep``) takes minutes once and is then read from ``cache``; a call after that costs
the model's own inference and about 20 ms a frame and blend.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from edgerecon.errors import DataError
from edgerecon.frame import Image, to_unit
from edgerecon.quality import classical, sweep, tradeoff
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
        ``snr_ratio, edge, gcnr, gcnr_change, classical_at_edge, advantage_percent`` (means over files, the classical
        front made from means over the same files), ``curve`` (one entry a blend), ``front``, and ``files``: the same
        figures for each file against its own front.

    Raises:
        DataError: no recording found, or one is unreadable.
    """
    frames = load_frames(shared_folder, frames_per_file)
    regions = {name: [find_regions(image) for image in images] for name, images in frames.items()}
    settings = _cached_sweep(frames, regions, cache)
    outputs = {name: [np.array(run(image)) for image in images] for name, images in frames.items()}
    curve = {b: sweep.measure_outputs(frames, regions, outputs, b) for b in sorted({*blends, 1.0})}
    return {
        **_place(curve[1.0], settings, list(frames)),
        "curve": [{"blend": b, **_place(rows, settings, list(frames))} for b, rows in curve.items()],
        "front": tradeoff.front(setting.point() for setting in settings),
        "files": {name: _place(curve[1.0], settings, [name]) for name in frames},
    }


def load_frames(folder: Path, frames_per_file: int) -> sweep.Frames:
    """Evenly spaced frames of each ``.npz`` recording below a folder, by file name."""
    found: sweep.Frames = {}
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


def _place(rows: sweep.Rows, settings: list[sweep.Setting], files: list[str]) -> dict[str, float]:
    """Mean figures over some files, beside the classical front over the same files."""
    edge, ratio = sweep.point(rows, files)
    points = [setting.point(files) for setting in settings]
    return {
        "snr_ratio": ratio,
        "edge": edge,
        "gcnr": sweep.mean(rows, "gcnr", files),
        "gcnr_change": sweep.mean(rows, "gcnr_change", files),
        "classical_at_edge": tradeoff.front_at(tradeoff.front(points), edge),
        "advantage_percent": tradeoff.advantage_percent((edge, ratio), points),
    }


def _cached_sweep(frames: sweep.Frames, regions: dict[str, list[Regions]], cache: Path | None) -> list[sweep.Setting]:
    key = _fingerprint(frames)
    if cache is not None and cache.is_file():
        try:
            kept = json.loads(cache.read_text(encoding="utf-8"))
        except ValueError:  # not JSON: made anew below
            kept = {}
        if isinstance(kept, dict) and kept.get("key") == key:
            return [sweep.Setting(**setting) for setting in kept["settings"]]
    settings = sweep.classical_sweep(frames, regions)
    if cache is not None:
        temporary = cache.with_name(cache.name + ".part")
        content = {"key": key, "settings": [asdict(setting) for setting in settings]}
        temporary.write_text(json.dumps(content), encoding="utf-8")
        os.replace(temporary, cache)
    return settings


def _fingerprint(frames: sweep.Frames) -> str:
    """Changes with the frames, with the filters and with the way they are measured."""
    digest = hashlib.sha256(json.dumps(classical.GRIDS).encode())
    for module in ("classical", "no_reference", "regions", "speckle", "full_reference", "sweep"):
        digest.update(Path(__file__).with_name(f"{module}.py").read_bytes())
    for images in frames.values():
        for image in images:
            digest.update(image.tobytes())
    return digest.hexdigest()

"""The classical front: structure kept against speckle left, and where a model stands.

A point is (structure kept, speckle left). The less speckle the better, and the nearer structure is to 1: above 1 is
sharpening, which counts as much as loss. Doing nothing is (1, 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from edgerecon.quality.evaluate.sweep import Rows, Setting, structure_point
from edgerecon.quality.evaluate.tradeoff import Point

IDENTITY: Point = (1.0, 1.0)


def structure_score(structure: float) -> float:
    """1 for all structure kept, less for loss and for sharpening alike: 1 − |1 − structure|."""
    return 1 - abs(1 - structure)


def front(points: Iterable[Point]) -> list[Point]:
    """The points that no other one beats in both, by falling speckle left; doing nothing is a candidate."""
    candidates = {*(point for point in points if np.isfinite(point).all()), IDENTITY}
    kept: list[Point] = []
    for structure, speckle in sorted(candidates, key=lambda point: (point[1], -structure_score(point[0]))):
        if not kept or structure_score(structure) > structure_score(kept[-1][0]):
            kept.append((structure, speckle))
    return kept[::-1]


def structure_at(points: Sequence[Point], speckle: float) -> float:
    """Structure that a front keeps at an amount of speckle left, linear between its points.

    Below the front's least speckle its last point holds.
    """
    levels, structures = zip(*((point[1], point[0]) for point in reversed(points)), strict=True)
    return float(np.interp(speckle, levels, structures))


def structure_front(curve: Mapping[float, Rows], settings: Sequence[Setting]) -> dict[str, Any]:
    """The model's place and its curve over blends, every classical setting with its milliseconds, and their front.

    With classical settings also ``classical_structure``: what the front keeps at the model's speckle left.
    """
    points = [setting.structure_point() for setting in settings]
    place = structure_point(curve[1.0])
    best = front(points)
    found: dict[str, Any] = {
        "model": _named(place),
        "curve": [{"blend": blend, **_named(structure_point(rows))} for blend, rows in curve.items()],
        "classical": [
            {"method": s.method, "parameters": s.parameters, **_named(at), "ms": s.milliseconds}
            for s, at in zip(settings, points, strict=True)
        ],
        "front": [_named(at) for at in best],
    }
    if settings:
        found["classical_structure"] = structure_at(best, place[1]) if np.isfinite(place[1]) else float("nan")
    return found


def comparable(settings: Sequence[Setting], speckle: float) -> Setting:
    """The setting that keeps most structure with no more speckle than the model leaves, else the one leaving least."""
    strong = [setting for setting in settings if setting.structure_point()[1] <= speckle]
    if strong:
        return max(strong, key=lambda setting: structure_score(setting.structure_point()[0]))
    return min(settings, key=lambda setting: setting.structure_point()[1])


def _named(point: Point) -> dict[str, float]:
    return {"structure": point[0], "speckle_left": point[1]}

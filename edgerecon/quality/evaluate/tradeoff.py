"""The trade-off between speckle reduction and edge preservation: the classical front and a model's place above it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

Point = tuple[float, float]
"""(edge preservation, speckle-SNR ratio to the input)."""

IDENTITY: Point = (1.0, 1.0)
"""The figures of the unchanged input."""


def front(points: Iterable[Point]) -> list[Point]:
    """Upper envelope: the points that no other one beats in both measures, by rising edge preservation.

    Doing nothing, (1, 1), always belongs to the candidates. Points that are not finite are left out.
    """
    candidates = sorted({*(p for p in points if np.isfinite(p).all()), IDENTITY}, reverse=True)
    kept: list[Point] = []
    for edge, ratio in candidates:
        if not kept or ratio > kept[-1][1]:
            kept.append((edge, ratio))
    return kept[::-1]


def front_at(points: list[Point], edge: float) -> float:
    """Speckle-SNR ratio of a front at an edge preservation, linear between its points.

    Below the front's lowest edge preservation its best ratio holds (a filter may always preserve edges better than
    asked); above its highest, doing nothing.
    """
    edges, ratios = zip(*points, strict=True)
    return float(np.interp(edge, edges, ratios))


def advantage_percent(model: Point, classical: Iterable[Point]) -> float:
    """Percent by which the model's speckle-SNR ratio exceeds the classical front at its edge preservation."""
    edge, ratio = model
    return 100.0 * (ratio / front_at(front(classical), edge) - 1.0)

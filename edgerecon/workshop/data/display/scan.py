"""Scan geometry: where samples of beams lie among the pixels of the display, and the interpolation between them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from edgerecon.workshop.data.display.fields import Map, log_uniform

LEAST_VIEW = 0.4  # part of the display that a sector has to cover
MOST_SAMPLES = 450  # along a beam, and beams: what a window of the display needs at most


@dataclass(frozen=True)
class Scan:
    """Samples of beams (rows: depth, columns: beams) and pixels of a square display, each in the other's coordinates.

    Attributes:
        shape: (samples, beams).
        row, column: fractional beam coordinates of every display pixel, float32 (side, side).
        y, x: fractional display coordinates of every sample, float32 ``shape``.
        view: 1 inside the field of view, 0 outside, softened over a pixel; float32 (side, side).
        density: samples per display pixel along a beam, and beams per display pixel at the middle.
        cubic: whether the display interpolates by cubics rather than linearly.
    """

    shape: tuple[int, int]
    row: Map
    column: Map
    y: Map
    x: Map
    view: Map
    density: tuple[float, float]
    cubic: bool

    def to_beams(self, display: Map) -> Map:
        """What lies under each sample, first blurred where samples are farther apart than pixels."""
        along, across = (max(0.45 / each - 0.45, 0.0) for each in self.density)
        if max(along, across) > 0.1:
            display = np.asarray(
                cv2.GaussianBlur(display, (0, 0), max(across, 0.1), sigmaY=max(along, 0.1)), np.float32
            )
        return cv2.remap(display, self.x, self.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[return-value]

    def to_display(self, samples: Map) -> Map:
        """Scan conversion."""
        method = cv2.INTER_CUBIC if self.cubic else cv2.INTER_LINEAR
        return cv2.remap(samples, self.column, self.row, method, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[return-value]


def random_scan(rng: np.random.Generator, side: int, density: tuple[float, float]) -> Scan:
    """A linear array's rectangle, or a window on the field of a curved or a phased array.

    Args:
        side: of the display in pixels. density: see ``Scan``.
    """
    cubic = bool(rng.random() < 0.25)
    if rng.random() < 0.45:
        return _rectangle(side, density, cubic)
    for _ in range(8):
        scan = _sector(rng, side, density, cubic)
        if scan is not None:
            return scan
    return _rectangle(side, density, cubic)


def _rectangle(side: int, density: tuple[float, float], cubic: bool) -> Scan:
    rows, columns = (max(8, round(side * each)) for each in density)
    pixel_y, pixel_x = np.indices((side, side), np.float32) + np.float32(0.5)
    sample_y, sample_x = np.indices((rows, columns), np.float32) + np.float32(0.5)
    return Scan(
        (rows, columns),
        pixel_y * np.float32(rows / side) - np.float32(0.5),
        pixel_x * np.float32(columns / side) - np.float32(0.5),
        sample_y * np.float32(side / rows) - np.float32(0.5),
        sample_x * np.float32(side / columns) - np.float32(0.5),
        np.ones((side, side), np.float32),
        density,
        cubic,
    )


def _sector(rng: np.random.Generator, side: int, density: tuple[float, float], cubic: bool) -> Scan | None:
    """A window on a sector with its apex above; None where the window shows too little of it."""
    opening = math.radians(rng.uniform(25, 50))
    above = log_uniform(rng, 10, 900) - 60  # from the apex down to the upper edge of the window
    middle_depth = above + side / 2
    apex_x = side / 2 + rng.uniform(-0.8, 0.8) * math.tan(opening) * middle_depth
    y, x = np.indices((side, side), np.float32)
    y, x = y + np.float32(above), x - np.float32(apex_x)
    depth, angle = np.hypot(y, x), np.arctan2(x, y)
    shallowest = max(0.0, above) * 0.9 + rng.uniform(0, 60) if rng.random() < 0.5 else 0.0
    deepest = rng.uniform(0.75, 2) * (above + side)
    view = np.minimum(np.minimum(depth - shallowest, deepest - depth), (opening - np.abs(angle)) * depth)
    view = np.clip(view + 0.5, 0, 1).astype(np.float32)
    if view.mean() < LEAST_VIEW:
        return None
    seen = view > 0
    first_depth, first_angle = float(depth[seen].min()), float(angle[seen].min())
    sample = max(1 / density[0], (float(depth[seen].max()) - first_depth) / MOST_SAMPLES)
    beam = max(1 / (density[1] * middle_depth), (float(angle[seen].max()) - first_angle) / MOST_SAMPLES)
    shape = (
        max(8, math.ceil((float(depth[seen].max()) - first_depth) / sample) + 2),
        max(8, math.ceil((float(angle[seen].max()) - first_angle) / beam) + 2),
    )
    depths = first_depth + np.arange(shape[0], dtype=np.float32)[:, None] * np.float32(sample)
    angles = first_angle + np.arange(shape[1], dtype=np.float32)[None] * np.float32(beam)
    return Scan(
        shape,
        ((depth - first_depth) / sample).astype(np.float32),
        ((angle - first_angle) / beam).astype(np.float32),
        (depths * np.cos(angles) - above).astype(np.float32),
        (depths * np.sin(angles) + apex_x).astype(np.float32),
        view,
        (1 / sample, 1 / (beam * middle_depth)),
        cubic,
    )

"""Wires, cysts and plain speckle of a phantom, in mm: given in a JSON file, or found in an envelope."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.config import read_json
from edgerecon.core.errors import DataError

Envelope = NDArray[np.floating]

_WIRE_DB = 18.0  # above the mean of decibels around it
_WIRE_POWER_DB = 12.0  # above the mean power: speckle, whose power is exponential, does not come so far
_WIRES_AT_MOST = 40
_CYST_DB = -8.0  # of its mean, below the ring around it
_CYSTS_AT_MOST = 8
_BESIDE = 2.7  # radii from a cyst to the speckle beside it


@dataclass(frozen=True)
class Targets:
    """What a phantom holds, in mm from the probe's middle.

    Attributes:
        wires: (x, z). cysts: (x, z, radius); brighter or darker than their surroundings. speckle: (x, z, radius) of
            plain speckle. given: whether a file says so; found places are those of the picture and tell no distortion.
    """

    wires: tuple[tuple[float, float], ...] = ()
    cysts: tuple[tuple[float, float, float], ...] = ()
    speckle: tuple[tuple[float, float, float], ...] = ()
    given: bool = False


def read_targets(path: Path) -> Targets:
    """Read ``{"wires": [[x, z], …], "cysts": [[x, z, radius], …], "speckle": [[x, z, radius], …]}``, in mm.

    Raises:
        DataError: it is missing, no JSON, or of another layout; the message names the key.
    """
    content = read_json(path, DataError, f"the targets in {path}")
    if not isinstance(content, dict) or not content or set(content) - {"wires", "cysts", "speckle"}:
        raise DataError(f"{path}: give an object of wires, cysts and speckle, places in mm")
    lists = {key: _places(path, key, content.get(key, []), size) for key, size in _SIZES.items()}
    return Targets(**lists, given=True)  # type: ignore[arg-type]


_SIZES = {"wires": 2, "cysts": 3, "speckle": 3}


def _places(path: Path, key: str, value: object, size: int) -> tuple[tuple[float, ...], ...]:
    try:
        table = np.array(value, np.float64).reshape(-1, size)
    except (TypeError, ValueError):
        table = np.full((1, size), np.nan)
    if not np.all(np.isfinite(table)) or (size == 3 and np.any(table[:, 2] <= 0)):
        raise DataError(f"{path}: {key} is a list of {size} numbers each, in mm")
    return tuple(tuple(float(one) for one in row) for row in table)


def find_targets(envelope: Envelope, x_mm: NDArray[np.floating], z_mm: NDArray[np.floating]) -> Targets:
    """Wires (peaks far above their surroundings) of a Cartesian grid, else dark round cysts and speckle beside them.

    Args:
        envelope: (H, W) linear amplitudes. x_mm: (W,). z_mm: (H,).
    """
    steps = float(np.ptp(z_mm)) / (z_mm.size - 1), float(np.ptp(x_mm)) / (x_mm.size - 1)
    decibel = 20 * np.log10(np.maximum(envelope / envelope.max(), 1e-6)).astype(np.float32)
    wires = tuple((float(x_mm[column]), float(z_mm[row])) for row, column in _wires(decibel, steps))
    cysts = () if wires else tuple((float(x_mm[c]), float(z_mm[r]), mm) for r, c, mm in _cysts(envelope, steps))
    return Targets(wires, cysts, _beside(cysts, x_mm))


def _beside(
    cysts: tuple[tuple[float, float, float], ...], x_mm: NDArray[np.floating]
) -> tuple[tuple[float, float, float], ...]:
    """Discs as large as the cysts, left and right of them at their depth, within the picture and clear of all cysts."""
    places = [(x + side * _BESIDE * mm, z, mm) for x, z, mm in cysts for side in (-1, 1)]
    return tuple(
        (x, z, mm)
        for x, z, mm in places
        if x_mm[0] <= x - mm
        and x + mm <= x_mm[-1]
        and all(np.hypot(x - other, z - depth) > mm + 1.4 * radius for other, depth, radius in cysts)
    )


def _kernel(width_mm: float, steps: tuple[float, float]) -> tuple[int, int]:
    """Odd (columns, rows), as OpenCV counts."""
    rows, columns = (2 * max(1, round(width_mm / step / 2)) + 1 for step in steps)
    return columns, rows


def _wires(decibel: NDArray[np.float32], steps: tuple[float, float]) -> list[tuple[int, int]]:
    around = cv2.blur(np.maximum(decibel, -60), _kernel(5.0, steps))
    power = cv2.blur(np.power(np.float32(10), decibel / 10), _kernel(5.0, steps))
    highest = cv2.dilate(decibel, np.ones(_kernel(2.5, steps)[::-1], np.uint8))
    stands_out = (decibel - around > _WIRE_DB) & (decibel > 10 * np.log10(np.maximum(power, 1e-12)) + _WIRE_POWER_DB)
    peaks = np.argwhere((decibel >= highest) & stands_out)
    order = np.argsort([-decibel[row, column] for row, column in peaks])
    found = [(int(peaks[at][0]), int(peaks[at][1])) for at in order]
    return found if len(found) <= _WIRES_AT_MOST else []  # so many are speckle


def _cysts(envelope: Envelope, steps: tuple[float, float]) -> list[tuple[int, int, float]]:
    power = np.square(envelope).astype(np.float32)
    candidates: list[tuple[float, int, int, float]] = []
    for radius in (1.5, 2.0, 2.5, 3.0, 4.0):
        inside, ring = (_disc_mean(power, radius * scale, steps) for scale in (0.8, 1.8))
        whole = _disc_mean(power, radius, steps)
        outside = np.maximum(ring * 1.8**2 - whole, 1e-30) / (1.8**2 - 1)
        contrast = 10 * np.log10(np.maximum(inside, 1e-30) / outside)
        margin = [round(2 * radius / step) for step in steps]
        core = contrast[margin[0] : -margin[0] or None, margin[1] : -margin[1] or None]
        if not core.size:
            continue
        for _ in range(_CYSTS_AT_MOST):
            value = float(core.min())
            if value > _CYST_DB:
                break
            row, column = (int(one) for one in np.unravel_index(int(core.argmin()), core.shape))
            candidates.append((value, row + margin[0], column + margin[1], radius))
            core = core.copy()
            core[max(0, row - margin[0]) : row + margin[0], max(0, column - margin[1]) : column + margin[1]] = 0
    found: list[tuple[int, int, float]] = []
    for _, row, column, radius in sorted(candidates):
        apart = [np.hypot((row - r) * steps[0], (column - c) * steps[1]) > radius + mm for r, c, mm in found]
        if all(apart) and len(found) < _CYSTS_AT_MOST:
            found.append((row, column, radius))
    return found


def _disc_mean(power: NDArray[np.float32], radius_mm: float, steps: tuple[float, float]) -> NDArray[np.float32]:
    columns, rows = _kernel(2 * radius_mm, steps)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (columns, rows)).astype(np.float32)
    return np.asarray(cv2.filter2D(power, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT), np.float32)

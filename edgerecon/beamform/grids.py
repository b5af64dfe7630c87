"""Where pixels are: square grids, and fans of beams that are scan-converted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.beamform.acquisition import Acquisition
from edgerecon.core.errors import AcquisitionError, UsageError
from edgerecon.core.frame import MAX_PIXELS

Array = NDArray[np.float64]

COLUMNS = 256
MAX_ROWS = 1024
_FIRST_ROW_M = 5e-3
"""Above it is the transmitted pulse."""


class Grid(Protocol):
    """What is beamformed, and how a picture is made of it.

    Attributes:
        shape: (H, W) of what is beamformed. spacing_mm: (row, column) of the picture.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the picture."""
        ...

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """(row, column) distance of pixels of the picture, in mm."""
        ...

    def points_m(self) -> tuple[Array, Array]:
        """x and z of every pixel, each (H, W)."""
        ...

    def picture(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """(H, W) real values → the picture, with 0 outside."""
        ...


@dataclass(frozen=True)
class CartesianGrid:
    """Columns ``x_m`` (W) and rows ``z_m`` (H), evenly spaced; what is beamformed is the picture.

    Raises:
        UsageError: no pixels, or more than are shown anywhere; places that are no numbers.
    """

    x_m: Array
    z_m: Array

    def __post_init__(self) -> None:
        _check_size(*self.shape)
        _check_finite("x_m", self.x_m)
        _check_finite("z_m", self.z_m)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.z_m.size, self.x_m.size

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """(row, column) distance of pixels, in mm."""
        return _step(self.z_m) * 1e3, _step(self.x_m) * 1e3

    def points_m(self) -> tuple[Array, Array]:
        """Lateral position x and depth z of every pixel, in metres, each of ``shape``."""
        x, z = np.meshgrid(self.x_m, self.z_m)
        return x, z

    def picture(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The values themselves: the grid's points are the pixels."""
        return values


class PolarGrid:
    """Beams: ranges (H) along angles (W) from an apex, scan-converted to square pixels.

    Args:
        range_m: from the apex. angle_rad: from the z axis. apex_x_m, apex_z_m: 0 for a phased array, −radius for a
            curved one. columns: of the picture.

    Raises:
        UsageError: no pixels or more than are shown anywhere, in the fan or in its picture; angles that make no fan;
            places that are no numbers.
    """

    def __init__(
        self,
        range_m: Array,
        angle_rad: Array,
        apex_x_m: float = 0.0,
        apex_z_m: float = 0.0,
        columns: int = 2 * COLUMNS,
    ) -> None:
        self.range_m, self.angle_rad, self._apex = range_m, angle_rad, (apex_x_m, apex_z_m)
        _check_size(*self.shape)
        _check_finite("range_m", range_m)
        _check_finite("angle_rad", angle_rad)
        x, z = self.points_m()
        step = float(np.ptp(x)) / max(1, columns - 1)
        if not step > 0:
            raise UsageError("the beams of a polar grid lie on each other: give angles from one edge to the other")
        rows = max(1, round(float(np.ptp(z)) / step) + 1)
        _check_size(rows, columns)
        self._step_m = step
        across, down = np.meshgrid(x.min() + np.arange(columns) * step, z.min() + np.arange(rows) * step)
        across, down = across - apex_x_m, down - apex_z_m
        self._row = ((np.hypot(across, down) - range_m[0]) / _step(range_m)).astype(np.float32)
        self._column = ((np.arctan2(across, down) - angle_rad[0]) / _step(angle_rad)).astype(np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """(ranges, angles)."""
        return self.range_m.size, self.angle_rad.size

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """(row, column) distance of pixels of the scan-converted picture, in mm."""
        return self._step_m * 1e3, self._step_m * 1e3

    def points_m(self) -> tuple[Array, Array]:
        """Lateral position x and depth z of every point, in metres, each of ``shape``."""
        angle, distance = np.meshgrid(self.angle_rad, self.range_m)
        return self._apex[0] + distance * np.sin(angle), self._apex[1] + distance * np.cos(angle)

    def picture(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Bilinear between beams; 0 outside the fan."""
        mapped = cv2.remap(values, self._column, self._row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return np.asarray(mapped, np.float32)


def default_grid(acquisition: Acquisition) -> CartesianGrid:
    """Square pixels: as wide as the aperture, or as the fan of diverging waves; down to the last sample.

    Raises:
        AcquisitionError: no sample is of an echo. UsageError: the pixels are more than are shown anywhere.
    """
    last = (
        max(transmit.start_s for transmit in acquisition.transmits) + acquisition.samples / acquisition.sample_rate_hz
    )
    deepest = last * acquisition.sound_speed_m_s / 2
    if deepest <= 0:
        raise AcquisitionError("first_sample_s or start_s make no sense: every sample is older than its wave")
    x = acquisition.probe.element_x_m
    ends = float(x.min()), float(x.max())
    left, right = ends
    for transmit in acquisition.transmits:
        if transmit.kind == "diverging":  # the fan from the source through the ends of the aperture
            source, behind = transmit.source_x_m, max(-transmit.source_z_m, 1e-6)
            left = min(left, max(ends[0] - deepest, source + (ends[0] - source) * (1 + deepest / behind)))
            right = max(right, min(ends[1] + deepest, source + (ends[1] - source) * (1 + deepest / behind)))
    centre, reach = (left + right) / 2, (right - left) / 2
    first = min(_FIRST_ROW_M, 0.2 * deepest)
    step = max(2 * reach / (COLUMNS - 1), math.sqrt(2 * reach * (0.95 * deepest - first) / (COLUMNS * MAX_ROWS)), 1e-6)
    _check_size((0.95 * deepest - first) / step + 1, 2 * reach / step + 1)
    across = centre + np.arange(-reach, reach + step / 2, step)
    return CartesianGrid(across, np.arange(first, 0.95 * deepest, step))


def parse_grid(text: str, acquisition: Acquisition) -> Grid:
    """A grid as a person writes it.

    ``256x256`` is columns × rows over the default field; ``-20:20:0.15,5:45:0.15`` x and z in mm, first:last:step;
    ``polar,10:120:0.3,-37:37:0.5`` ranges in mm and angles in degrees, from the apex of the probe.

    Raises:
        UsageError: anything else, or more pixels than are read anywhere.
    """
    kind, _, rest = text.partition(",")
    try:
        if kind == "polar":
            ranges, angles = (_axis(part) for part in rest.split(","))
            grid: Grid = PolarGrid(ranges * 1e-3, np.radians(angles), *_apex(acquisition))
        elif "x" in text:
            columns, rows = (int(part) for part in text.split("x"))
            grid = _resized(default_grid(acquisition), columns, rows)
        else:
            x, z = (_axis(part) for part in text.split(","))
            grid = CartesianGrid(x * 1e-3, z * 1e-3)
    except (ValueError, OverflowError, MemoryError):
        raise UsageError(
            f"the grid '{text}' makes no sense: give COLUMNSxROWS, or X0:X1:STEP,Z0:Z1:STEP in mm, or "
            "polar,R0:R1:STEP,A0:A1:STEP in mm and degrees"
        ) from None
    return grid


def _axis(text: str) -> Array:
    first, last, step = (float(part) for part in text.split(":"))
    count = (last - first) / step
    if not (step > 0 and 1 <= count < MAX_PIXELS):
        raise ValueError(text)
    return np.asarray(first + np.arange(round(count) + 1) * step, np.float64)


def _resized(grid: CartesianGrid, columns: int, rows: int) -> CartesianGrid:
    if columns < 2 or rows < 2 or columns * rows > MAX_PIXELS:
        raise ValueError("no such size")
    return CartesianGrid(np.linspace(grid.x_m[0], grid.x_m[-1], columns), np.linspace(grid.z_m[0], grid.z_m[-1], rows))


def _apex(acquisition: Acquisition) -> tuple[float, float]:
    """Where the elements' normals meet; the middle of a straight row."""
    probe = acquisition.probe
    spread = float(np.ptp(np.sin(probe.element_angle_rad)))
    middle = float(probe.element_x_m.mean())
    if spread < 1e-6:
        return middle, float(probe.element_z_m.mean())
    radius = float(np.ptp(probe.element_x_m)) / spread
    return middle, float(probe.element_z_m.max()) - radius


def _check_size(rows: float, columns: float) -> None:
    if not 1 <= rows * columns <= MAX_PIXELS:
        raise UsageError(f"a grid of {columns:.0f} columns and {rows:.0f} rows: give 1 to {MAX_PIXELS:,} pixels")


def _check_finite(name: str, axis: Array) -> None:
    if not np.all(np.isfinite(axis)):
        raise UsageError(f"{name} of a grid makes no sense: it holds NaN or infinity")


def _step(axis: Sequence[float] | Array) -> float:
    return float(axis[-1] - axis[0]) / max(1, len(axis) - 1)

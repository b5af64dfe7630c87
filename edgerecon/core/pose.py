"""Pose: where an image lies in space, and what a tracker reported with it.

The words are those of the PLUS toolkit (https://pluslib.readthedocs.io): a transform "ImageToReference" maps a point of
the image, as (column, row, 0, 1) in pixels, to a point of the frame "Reference" in mm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

OK = "OK"
"""Status of a transform that may be used."""

_LARGEST_MM = 1e9
"""Larger numbers are damaged: no tracker sees a thousand kilometres."""


@dataclass(frozen=True, slots=True, eq=False)
class Transform:
    """One transform of a tracker.

    Attributes:
        name: as "ProbeToTracker", printable.
        matrix: float64 (4, 4), finite; the lengths are mm.
        status: "OK", or in a word why the tracker did not know it.
        timestamp_s: of the sender's clock, or None.
    """

    name: str
    matrix: Matrix
    status: str = OK
    timestamp_s: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """Where the pixels of an image lie.

    The centre is kept rather than the corner, as OpenIGTLink does: it stays when a model enlarges the image, and a
    number that was received is sent again bit for bit.

    Attributes:
        axes: float64 (3, 3); its columns are the steps in mm to the next column, to the next row, and across.
        centre: float64 (3); the image's centre in mm.
        coordinates: of the frame of reference: "RAS" (right, anterior, superior) or "LPS".
    """

    axes: Matrix
    centre: Matrix
    coordinates: Literal["RAS", "LPS"] = "RAS"

    @classmethod
    def of(cls, axes: Matrix, centre: Matrix, coordinates: Literal["RAS", "LPS"] = "RAS") -> Plane | None:
        """The plane, or None when the numbers are none: not finite, beyond all reason, or axes without length."""
        numbers = np.concatenate([axes.ravel(), centre.ravel()])
        if not (np.abs(numbers) <= _LARGEST_MM).all() or not (np.abs(axes[:, :2]).max(axis=0) > 0).all():
            return None
        return cls(axes, centre, coordinates)

    @classmethod
    def from_matrix(
        cls, matrix: Matrix, shape: Sequence[int], coordinates: Literal["RAS", "LPS"] = "RAS"
    ) -> Plane | None:
        """The plane of an ImageToReference matrix, (4, 4), for an image of (H, W, ...) pixels; None as in ``of``."""
        return cls.of(matrix[:3, :3], (matrix @ _middle(shape))[:3], coordinates)

    def matrix(self, shape: Sequence[int]) -> Matrix:
        """ImageToReference, (4, 4), for an image of (H, W) pixels."""
        found = np.eye(4)
        found[:3, :3] = self.axes
        found[:3, 3] = self.centre - self.axes @ _middle(shape)[:3]
        return found

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """(row, column) distance between pixel centres."""
        return math.hypot(*self.axes[:, 1]), math.hypot(*self.axes[:, 0])


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """What is known of one frame in space.

    Attributes:
        plane: where the image lies, or None.
        transforms: what the tracker reported since the frame before, in the order of arrival.
        timestamp_s: when the image was taken, by the clock of the device that made it; None when it did not say.
    """

    plane: Plane | None = None
    transforms: tuple[Transform, ...] = ()
    timestamp_s: float | None = None

    def enlarged(self, scale: int) -> Pose:
        """The pose of the same image with ``scale`` times as many pixels along each side."""
        return self if scale == 1 else self.resized((1, 1), (scale, scale))

    def resized(self, before: Sequence[int], after: Sequence[int]) -> Pose:
        """The pose of the same image at another size. before, after: (H, W, ...) in pixels."""
        if self.plane is None:
            return self
        steps = self.plane.axes * np.array([before[1] / after[1], before[0] / after[0], 1.0])
        return replace(self, plane=replace(self.plane, axes=steps))

    def cropped(self, corner: tuple[int, int], shape: tuple[int, int], before: Sequence[int]) -> Pose:
        """The pose of a part of the image.

        Args:
            corner: (row, column) of its first pixel. shape: (H, W) of the part. before: (H, W, ...) of the image.
        """
        if self.plane is None:
            return self
        row, column = corner
        moved = _middle(shape)[:3] + (column, row, 0.0) - _middle(before)[:3]
        return replace(self, plane=replace(self.plane, centre=self.plane.centre + self.plane.axes @ moved))

    def newest(self) -> dict[str, Transform]:
        """The last transform of each name."""
        return {one.name: one for one in self.transforms}


def matrix_of(numbers: Sequence[float]) -> Matrix | None:
    """(4, 4) from 16 numbers, row by row; None when they are not finite, beyond all reason or no such matrix."""
    if len(numbers) != 16:
        return None
    matrix = np.asarray(numbers, np.float64).reshape(4, 4)
    if not (np.abs(matrix) <= _LARGEST_MM).all() or matrix[3].tolist() != [0, 0, 0, 1]:
        return None
    return matrix


def plausible_time(seconds: float | None) -> float | None:
    """A timestamp that can be: above 0 (which means unset) and, as Unix time, before 2106; else None."""
    return seconds if seconds is not None and 0 < seconds < 2**32 else None


def _middle(shape: Sequence[int]) -> Matrix:
    return np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2, 0.0, 1.0])

"""Probes: where elements are, where they look, and what their lens delays."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import AcquisitionError

WIDEST_M = 1.0
"""The widest probe, in metres: whole-body rings are half as wide. A pitch in millimetres makes tens of metres."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Probe:
    """A row of elements in the image plane.

    Attributes:
        element_x_m, element_z_m: (N,) centres, metres.
        element_angle_rad: (N,) of each element's normal from the z axis towards x; zeros when not given.
        lens_delay_s: what the lens delays an echo on its way in, seconds.
    """

    element_x_m: Array
    element_z_m: Array
    element_angle_rad: Array = field(default_factory=lambda: np.zeros(0))
    lens_delay_s: float = 0.0

    def __post_init__(self) -> None:
        if not self.element_angle_rad.size:
            object.__setattr__(self, "element_angle_rad", np.zeros(self.element_x_m.size))

    @property
    def elements(self) -> int:
        """Number of elements."""
        return self.element_x_m.size

    def check(self, name: str) -> None:
        """Raises AcquisitionError when the geometry makes no sense; the message names the field."""
        for key in ("element_x_m", "element_z_m", "element_angle_rad"):
            values = getattr(self, key)
            if values.shape != (self.elements,) or not np.all(np.isfinite(values)):
                raise AcquisitionError(f"{name}: {key} makes no sense: it is {values.shape}, and not all of it numbers")
            if key != "element_angle_rad" and self.elements and np.ptp(values) > WIDEST_M:
                raise AcquisitionError(
                    f"{name}: {key} (the pitch) makes no sense: a probe {np.ptp(values):g} m wide; give metres"
                )
        if not np.isfinite(self.lens_delay_s):
            raise AcquisitionError(f"{name}: lens_delay_s makes no sense: {self.lens_delay_s}")
        if self.elements < 2 or np.ptp(self.element_x_m) <= 0:
            raise AcquisitionError(
                f"{name}: element_x_m is of a probe of one element, or of elements that lie on each other"
            )


def linear_array(elements: int, pitch_m: float, lens_delay_s: float = 0.0) -> Probe:
    """A straight row, centred on the origin, that looks along z."""
    x = np.asarray((np.arange(elements) - (elements - 1) / 2) * pitch_m, np.float64)
    return Probe(x, np.zeros(elements), np.zeros(elements), lens_delay_s)


def phased_array(elements: int, pitch_m: float, lens_delay_s: float = 0.0) -> Probe:
    """A straight row whose pitch is about half a wavelength, so that it can be steered; used with a ``PolarGrid``."""
    return linear_array(elements, pitch_m, lens_delay_s)


def curved_array(elements: int, pitch_m: float, radius_m: float, lens_delay_s: float = 0.0) -> Probe:
    """A convex row on a circle of ``radius_m``, ``pitch_m`` apart along the arc; its middle is the origin."""
    angle = np.asarray((np.arange(elements) - (elements - 1) / 2) * pitch_m / radius_m, np.float64)
    x, z = radius_m * np.sin(angle), radius_m * (np.cos(angle) - 1)
    return Probe(x, z, angle, lens_delay_s)

"""Transmits, and when their wavefront arrives at a point.

With c the speed of sound, the wavefront reaches p at path(p) / c after it passed the origin:

    plane wave at angle θ           path = x·sin θ + z·cos θ
    diverging, source s behind      path = |p − s| − |s|
    focused, focus s in front       path = |s| − |p − s| above the focus, |s| + |p − s| below it (a virtual source)
    one element at s                path = |p − s|, counted from when it fires
    element delays τ                path = minₑ (c·τₑ + |p − e|), the first arrival, counted from delay 0

Virtual sources: Montaldo et al., IEEE TUFFC 56(3), 2009; Frazier & O'Brien, IEEE TUFFC 45(1), 1998.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgerecon.beamform.geometry import Probe
from edgerecon.core.errors import AcquisitionError

Array = NDArray[np.float64]
KINDS = ("plane", "diverging", "focused", "element", "delays")
_LARGEST = {"start_s": 2.0, "angle_rad": 2 * np.pi, "source_x_m": 1e6, "source_z_m": 1e6}
"""No scanner has more; the pictures of more overflow to NaN."""


@dataclass(frozen=True)
class Transmit:
    """One transmit.

    Attributes:
        kind: one of ``KINDS``.
        start_s: from time 0 of the wave, see the module, to the first sample, seconds; may be negative.
        angle_rad: of a plane wave. source_x_m, source_z_m: the virtual source, focus or element.
        element_delay_s: (N,) of "delays": when each element fires, NaN when it does not.
    """

    kind: Literal["plane", "diverging", "focused", "element", "delays"]
    start_s: float = 0.0
    angle_rad: float = 0.0
    source_x_m: float = 0.0
    source_z_m: float = 0.0
    element_delay_s: tuple[float, ...] = ()

    def path_m(self, x_m: Array, z_m: Array, probe: Probe, sound_speed_m_s: float) -> Array:
        """Metres that the wavefront travels from time 0 to each point."""
        if self.kind == "plane":
            return np.asarray(x_m * np.sin(self.angle_rad) + z_m * np.cos(self.angle_rad))
        if self.kind == "delays":
            return _first_arrival(x_m, z_m, probe, np.array(self.element_delay_s) * sound_speed_m_s)
        from_source = np.hypot(x_m - self.source_x_m, z_m - self.source_z_m)
        if self.kind == "element":
            return np.asarray(from_source)
        origin = float(np.hypot(self.source_x_m, self.source_z_m))
        if self.kind == "diverging":
            return np.asarray(from_source - origin)
        return np.asarray(origin + np.where(z_m < self.source_z_m, -from_source, from_source))

    def weight(self, x_m: Array, z_m: Array, f_number: float, narrowest_m: float) -> Array:
        """Distance from the beam's axis over half its width, 0 on the axis, 1 at the edge; see ``apodisation``.

        The beam is a cone of ``f_number`` from the source, at least ``narrowest_m`` wide; a plane wave is within it
        everywhere or nowhere, by its angle.
        """
        if self.kind in ("plane", "delays"):
            return np.full(x_m.shape, 2 * f_number * abs(np.tan(self.angle_rad)))
        half = np.maximum(np.abs(z_m - self.source_z_m) / (2 * f_number), narrowest_m / 2)
        return np.asarray(np.abs(x_m - self.source_x_m) / half)

    def check(self, name: str, elements: int) -> None:
        """Raises AcquisitionError when it makes no sense; the message names the field."""
        if self.kind not in KINDS:
            raise AcquisitionError(f"{name}: transmit kind '{self.kind}' is unknown: known are {', '.join(KINDS)}")
        for key in ("start_s", "angle_rad", "source_x_m", "source_z_m"):
            if not abs(getattr(self, key)) <= _LARGEST[key]:  # NaN neither
                raise AcquisitionError(f"{name}: {key} of a transmit makes no sense: {getattr(self, key):g}")
        if self.kind == "delays" and (
            len(self.element_delay_s) != elements or not np.any(np.isfinite(self.element_delay_s))
        ):
            raise AcquisitionError(f"{name}: element_delay_s does not fit {elements} elements")


def plane_wave(angle_rad: float = 0.0, start_s: float = 0.0) -> Transmit:
    """A plane wave."""
    return Transmit("plane", start_s, angle_rad)


def diverging_wave(source_x_m: float, source_z_m: float, start_s: float = 0.0) -> Transmit:
    """A wave from a virtual source behind the probe (``source_z_m`` < 0)."""
    return Transmit("diverging", start_s, 0.0, source_x_m, source_z_m)


def focused_wave(source_x_m: float, source_z_m: float, start_s: float = 0.0) -> Transmit:
    """A beam focused at a point in front of the probe."""
    return Transmit("focused", start_s, 0.0, source_x_m, source_z_m)


def single_element(source_x_m: float, source_z_m: float = 0.0, start_s: float = 0.0) -> Transmit:
    """A transmit by one element, which fires at time 0."""
    return Transmit("element", start_s, 0.0, source_x_m, source_z_m)


def synthetic_aperture(probe: Probe, start_s: float = 0.0) -> tuple[Transmit, ...]:
    """One transmit by each element in turn (Jensen et al., Ultrasonics 44, 2006)."""
    places = zip(probe.element_x_m, probe.element_z_m, strict=True)
    return tuple(single_element(float(x), float(z), start_s) for x, z in places)


def transmit_by_delays(delay_s: Sequence[float], start_s: float = 0.0) -> Transmit:
    """What the elements' firing times make, wherever it goes."""
    return Transmit("delays", start_s, element_delay_s=tuple(float(delay) for delay in delay_s))


def _first_arrival(x_m: Array, z_m: Array, probe: Probe, delay_m: Array) -> Array:
    least = np.full(x_m.shape, np.inf)
    for x, z, delay in zip(probe.element_x_m, probe.element_z_m, delay_m, strict=True):
        if np.isfinite(delay):
            np.minimum(least, delay + np.hypot(x_m - x, z_m - z), out=least)
    return least

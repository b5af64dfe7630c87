"""A transmit as scanners describe it: steering, focus and the elements' delays from the first one that fires."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgerecon.beamform import Probe, Transmit, diverging_wave, focused_wave, plane_wave

Array = NDArray[np.float64]


def scanner_wave(
    focus_m: float,
    angle_rad: float,
    origin_m: tuple[float, float],
    delay_s: Array,
    fires: NDArray[np.bool_],
    start_s: float,
    probe: Probe,
    sound_speed_m_s: float,
) -> Transmit:
    """The wave, its time counted from when it passes the origin of the picture.

    Args:
        focus_m: from ``origin_m`` (x, z) along ``angle_rad``: above 0 in front of the probe, below 0 a virtual source
            behind it, 0 or infinite a plane wave.
        delay_s: (N,) when each element fires. fires: (N,) which of them do; none: all.
        start_s: the first sample, on the clock of ``delay_s``.
    """
    if np.isfinite(focus_m) and focus_m != 0:
        x, z = origin_m[0] + focus_m * np.sin(angle_rad), origin_m[1] + focus_m * np.cos(angle_rad)
        wave = diverging_wave(float(x), float(z)) if focus_m < 0 else focused_wave(float(x), float(z))
    else:
        wave = plane_wave(angle_rad)
    on = fires if fires.any() else np.ones_like(fires)
    path_m = wave.path_m(probe.element_x_m[on], probe.element_z_m[on], probe, sound_speed_m_s)
    return replace(wave, start_s=float(start_s - np.median(delay_s[on] - path_m / sound_speed_m_s)))

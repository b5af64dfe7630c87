"""A transmit as scanners describe it: steering, focus and the elements' delays from the first one that fires."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgerecon.beamform import Probe, Transmit, diverging_wave, focused_wave, plane_wave
from edgerecon.beamform.transmits import transmit_by_delays
from edgerecon.core.errors import AcquisitionError

Array = NDArray[np.float64]
_FITS = 0.5
"""Pitches, RMS, that the wave may be off the elements' delays."""


def scanner_wave(
    focus_m: float,
    angle_rad: float,
    origin_m: tuple[float, float],
    delay_s: Array,
    fires: NDArray[np.bool_],
    start_s: float,
    probe: Probe,
    sound_speed_m_s: float,
    where: str,
) -> Transmit:
    """The wave, its time counted from when it passes the origin of the picture.

    Where the elements' delays make another wave than focus and angle say, as those of a curved probe that fires all at
    once do, it is the first arrival of the delays.

    Args:
        focus_m: from ``origin_m`` (x, z) along ``angle_rad``: above 0 in front of the probe, below 0 a virtual source
            behind it, 0 or infinite a plane wave.
        delay_s: (N,) when each element fires. fires: (N,) which of them do; none: all.
        start_s: the first sample, on the clock of ``delay_s``. where: the file and its field of delays, for messages.

    Raises:
        AcquisitionError: the delays make another wave, and it converges: its focus has to be known.
    """
    if np.isfinite(focus_m) and focus_m != 0:
        x, z = origin_m[0] + focus_m * np.sin(angle_rad), origin_m[1] + focus_m * np.cos(angle_rad)
        wave = diverging_wave(float(x), float(z)) if focus_m < 0 else focused_wave(float(x), float(z))
    else:
        wave = plane_wave(angle_rad)
    on = fires if fires.any() else np.ones_like(fires)
    x, z = probe.element_x_m[on], probe.element_z_m[on]
    late_s = delay_s[on] - wave.path_m(x, z, probe, sound_speed_m_s) / sound_speed_m_s
    stated = np.any(delay_s[on] != delay_s[on][0]) or np.ptp(z) > 0  # zeros stand for delays that a file leaves out
    if stated and np.std(late_s) * sound_speed_m_s > _FITS * _pitch_m(probe):
        if np.polyfit(x, delay_s[on] - z / sound_speed_m_s, 2)[0] < 0 and x.size > 2:
            raise AcquisitionError(f"{where} converges, but fits neither the focus nor the angle of its transmit")
        return transmit_by_delays(list(np.where(on, delay_s, np.nan)), start_s)
    return replace(wave, start_s=float(start_s - np.median(late_s)))


def _pitch_m(probe: Probe) -> float:
    return float(np.hypot(np.ptp(probe.element_x_m), np.ptp(probe.element_z_m))) / max(1, probe.elements - 1)

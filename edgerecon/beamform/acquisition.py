"""How channel data were acquired, and what can be wrong with that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgerecon.beamform.geometry import Probe
from edgerecon.beamform.transmits import Transmit
from edgerecon.core.errors import AcquisitionError

MAX_FRAMES = 1_000_000
MAX_SIGNALS = 256_000_000
"""Numbers of one frame, transmits and elements together."""
_EXAMPLE = {"sound_speed_m_s": ", such as c=1540"}
_LARGEST = {"sample_rate_hz": 1e12, "sound_speed_m_s": 1e5, "carrier_hz": 1e12, "first_sample_s": 1.0}
"""No scanner has more."""
_NARROWEST = 0.2  # of a band, in carriers: a mirror image nearer than that lies in it


@dataclass(frozen=True)
class Acquisition:
    """How channel data were acquired.

    Attributes:
        probe, transmits: geometry; a frame's signals are (transmits, elements, samples).
        samples: of each element and transmit.
        sample_rate_hz: of RF, or of each of I and Q.
        carrier_hz: the centre of RF's band, or what IQ was mixed down with; 0 in RF: found in the spectrum.
        sound_speed_m_s: assumed in the medium; NaN when nobody stated it, which ``check`` refuses.
        iq: complex baseband, else real RF.
        frames: number of them. period_s: between two, or None.
        first_sample_s: where IQ's first sample lies on the clock at whose 0 it was mixed down with a phase of 0.
    """

    probe: Probe
    transmits: tuple[Transmit, ...]
    samples: int
    sample_rate_hz: float
    carrier_hz: float
    sound_speed_m_s: float
    iq: bool
    frames: int = 1
    period_s: float | None = None
    first_sample_s: float = 0.0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one frame's signals."""
        return len(self.transmits), self.probe.elements, self.samples

    def check(self, name: str) -> None:
        """Refuse before anything is allocated.

        Raises:
            AcquisitionError: numbers that make no sense, or sizes that no scanner makes; the message names the field.
        """
        for key in ("sample_rate_hz", "sound_speed_m_s"):
            value = getattr(self, key)
            if not 0 < value <= _LARGEST[key]:  # NaN neither
                said = (
                    f"is missing: give one{_EXAMPLE.get(key, '')}" if np.isnan(value) else f"makes no sense: {value:g}"
                )
                raise AcquisitionError(f"{name}: {key} {said}")
        for key in ("carrier_hz", "first_sample_s"):
            if not abs(getattr(self, key)) <= _LARGEST[key]:
                raise AcquisitionError(f"{name}: {key} makes no sense: {getattr(self, key):g}")
        if self.carrier_hz < 0:
            raise AcquisitionError(f"{name}: carrier_hz makes no sense: {self.carrier_hz:g}")
        if self.iq and not self.carrier_hz:
            raise AcquisitionError(
                f"{name}: carrier_hz is missing: IQ without its modulation frequency cannot be beamformed"
            )
        if min(len(self.transmits), self.samples, self.frames) < 1:
            raise AcquisitionError(f"{name} holds no channel data")
        self.probe.check(name)
        for transmit in self.transmits:
            transmit.check(name, self.probe.elements)
        size = int(np.prod([float(one) for one in self.shape]))
        if self.frames > MAX_FRAMES or size > MAX_SIGNALS:
            raise AcquisitionError(
                f"{name} declares {self.frames} frames of {size:,} samples: no more than it can hold"
            )
        if not self.iq and self.carrier_hz:
            self.check_band(name, self.carrier_hz)

    def check_band(self, name: str, carrier_hz: float) -> None:
        """Raises AcquisitionError when RF was sampled so that the band at ``carrier_hz`` meets its mirror image."""
        if mirror_hz(carrier_hz, self.sample_rate_hz) < _NARROWEST * carrier_hz:
            raise AcquisitionError(
                f"{name}: sample_rate_hz {self.sample_rate_hz:g} is below Nyquist of the band around "
                f"{carrier_hz:g} Hz: its mirror image lies in it"
            )

    def check_frame(self, name: str, signals: NDArray[np.generic]) -> None:
        """Raises AcquisitionError when a frame's signals are no such numbers, or have another shape than this."""
        if signals.dtype.kind not in "fiuc":
            raise AcquisitionError(f"{name}: the signals of a frame are no numbers, but {signals.dtype}")
        if np.iscomplexobj(signals) != self.iq:
            said, given = ("iq is true", "real") if self.iq else ("iq is false", "complex")
            raise AcquisitionError(f"{name}: {said}, but the signals of a frame are {given}: {signals.dtype}")
        if signals.shape != self.shape:
            raise AcquisitionError(
                f"{name}: signals of the shape {signals.shape} do not fit {self.shape[0]} transmits, "
                f"{self.shape[1]} elements and {self.samples} samples"
            )


def mirror_hz(carrier_hz: float, sample_rate_hz: float) -> float:
    """How far from the band its mirror image lies once it is sampled, and so mixed down to 0: |−2f| modulo the rate."""
    return abs((2 * carrier_hz + sample_rate_hz / 2) % sample_rate_hz - sample_rate_hz / 2)

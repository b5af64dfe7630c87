"""How to beamform."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from edgerecon.beamform.apodisation import WINDOWS
from edgerecon.core.errors import UsageError

F_NUMBER = 1.75
"""The F-number of receive, as in the PICMUS challenge (Liebgott et al., IUS 2016)."""
COMPOUNDINGS = ("coherent", "incoherent")
SIGNALS = ("iq", "analytic", "rf")


@dataclass(frozen=True)
class Settings:
    """How to beamform.

    Attributes:
        method: name of one of ``methods.methods()``.
        f_number, window: of receive; an F-number of 0 takes every element for every pixel.
        transmit_f_number, transmit_window: of each transmit's beam; 0 takes every transmit for every pixel.
        signal: what is summed: "iq" (RF is mixed down and decimated), "analytic" (RF and its Hilbert transform, at its
            own rate), or "rf" (a real picture; delay-and-sum only). IQ data stay IQ.
        compounding: "coherent" adds the complex pictures of the transmits, "incoherent" their powers.
        low_frequencies: spatial frequencies of the aperture on each side of 0 that "gcf" counts as coherent.
        subaperture: of "mv", elements over those heard, at most 0.5. reduction: of "mv", the dimensions its covariance
            is reduced to, 0 for none. loading: of "mv", diagonal loading over the mean power.
    """

    method: str = "das"
    f_number: float = F_NUMBER
    window: str = "hann"
    transmit_f_number: float = 0.0
    transmit_window: str = "boxcar"
    signal: str = "iq"
    compounding: str = "coherent"
    low_frequencies: int = 2
    subaperture: float = 0.5
    reduction: int = 8
    loading: float = 0.01

    def __post_init__(self) -> None:
        from edgerecon.beamform.methods import methods

        for key, known in (
            ("method", tuple(methods())),
            ("window", tuple(WINDOWS)),
            ("transmit_window", tuple(WINDOWS)),
            ("compounding", COMPOUNDINGS),
            ("signal", SIGNALS),
        ):
            if getattr(self, key) not in known:
                raise UsageError(f"{key} '{getattr(self, key)}' is unknown: known are {', '.join(known)}")
        for one in fields(self):
            value = getattr(self, one.name)
            if not isinstance(value, str) and not (np.isfinite(value) and value >= 0):
                raise UsageError(f"{one.name} makes no sense: {value}")
        if self.signal == "rf" and self.method != "das":
            raise UsageError(f"signal 'rf' is for delay-and-sum: '{self.method}' takes iq or analytic")
        if not 0 < self.subaperture <= 0.5:
            raise UsageError(f"subaperture makes no sense: {self.subaperture:g}: give more than 0, at most 0.5")

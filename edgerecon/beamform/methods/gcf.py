"""Generalised coherence factor: y = Σ x · Σ_{|k| ≤ M} |X(k)|² / Σ_k |X(k)|², X being the aperture's discrete spectrum.

Li & Li, IEEE TUFFC 50(2), 2003. M = ``low_frequencies``; with M = 0 it is the coherence factor.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgerecon.beamform.methods.method import Complex, Method
from edgerecon.beamform.settings import Settings


def generalised_coherence_factor(signals: Complex, heard: NDArray[np.bool_], settings: Settings) -> Complex:
    """See the module. signals: (P, N); heard: (P, N), a run of elements in each pixel; → (P,)."""
    count = heard.sum(1)
    place = np.cumsum(heard, 1) - 1  # within what is heard, so that the spectrum is that of the aperture in use
    whole = signals.sum(1)
    energy = np.square(np.abs(signals)).sum(1) * count
    low = np.zeros(len(signals))
    for k in range(-settings.low_frequencies, settings.low_frequencies + 1):
        turn = np.exp(-2j * np.pi * k * place / np.maximum(count, 1)[:, None]).astype(np.complex64)
        low += np.where(count > 2 * abs(k), np.square(np.abs((signals * turn).sum(1))), 0)
    return np.asarray(whole * (low / np.maximum(energy, 1e-30)), np.complex64)


METHOD = Method("gcf", "generalised coherence factor", combine=generalised_coherence_factor)

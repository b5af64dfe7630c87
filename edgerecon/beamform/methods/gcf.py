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
    low = np.square(np.abs(whole))
    angle = np.float32(-2 * np.pi) / np.maximum(count, 1)[:, None].astype(np.float32) * place.astype(np.float32)
    turn = turned = np.cos(angle) + np.complex64(1j) * np.sin(angle)
    for k in range(1, settings.low_frequencies + 1):
        for direction in (turned, turned.conj()):
            low += np.where(count > 2 * k, np.square(np.abs((signals * direction).sum(1))), 0)
        turned = turned * turn
    return np.asarray(whole * (low / np.maximum(energy, 1e-30)), np.complex64)


METHOD = Method("gcf", "generalised coherence factor", combine=generalised_coherence_factor)

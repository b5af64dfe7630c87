"""Envelopes and grey levels against their formulas."""

from __future__ import annotations

import numpy as np
import pytest

from edgerecon.beamform.detection import LogCompression, envelope


def test_envelope_of_a_pulse() -> None:
    time = np.linspace(-2e-6, 2e-6, 201)
    pulse = np.exp(-((time / 4e-7) ** 2)) * np.exp(2j * np.pi * 5e6 * time)
    (found,) = envelope(pulse.real[None])
    np.testing.assert_allclose(found, np.abs(pulse), atol=1e-3)
    means = envelope(pulse.real[None].repeat(3, 0), 4)
    np.testing.assert_allclose(means, found[:200].reshape(1, 50, 4).mean(2).repeat(3, 0), atol=1e-6)


@pytest.mark.parametrize("width", [7, 1 << 21])
def test_grey_levels_are_those_of_the_formula(width: int) -> None:
    amplitude = np.geomspace(1e-12, 3.0, 3 * width).reshape(3, width)
    expected = np.clip(1 + 20 * np.log10(np.maximum(amplitude / 3, 1e-9)) / 60, 0, 1)
    np.testing.assert_allclose(LogCompression()(amplitude), expected, atol=1e-5)

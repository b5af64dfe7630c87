"""Envelopes and grey levels against their formulas."""

from __future__ import annotations

import numpy as np
import pytest

from edgerecon.beamform import detection
from edgerecon.beamform.detection import LogCompression, envelope


def test_envelope_of_a_pulse() -> None:
    time = np.linspace(-2e-6, 2e-6, 201)
    pulse = np.exp(-((time / 4e-7) ** 2)) * np.exp(2j * np.pi * 5e6 * time)
    (found,) = envelope(pulse.real[None])
    np.testing.assert_allclose(found, np.abs(pulse), atol=1e-3)
    means = envelope(pulse.real[None].repeat(3, 0), 4)
    np.testing.assert_allclose(means, found[:200].reshape(1, 50, 4).mean(2).repeat(3, 0), atol=1e-6)


@pytest.mark.parametrize("block", [1, 1 << 20])
def test_grey_levels_are_those_of_the_formula(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(detection, "_BLOCK", block)
    amplitude = np.geomspace(1e-12, 3.0, 3000).reshape(3, 1000)
    expected = np.clip(1 + 20 * np.log10(np.maximum(amplitude / 3, 1e-9)) / 60, 0, 1)
    np.testing.assert_allclose(LogCompression()(amplitude), expected, atol=0.009 / 60)


def test_any_number_has_a_grey_level() -> None:
    compress = LogCompression()
    assert compress(np.array([[2.0]], np.float32)) == 1.0
    found = compress(np.array([[1e300, np.inf, 0.0, -0.0, np.nan]]))
    np.testing.assert_array_equal(found, [[1.0, 1.0, 0.0, 0.0, np.nan]])
    assert not LogCompression()(np.zeros((2, 2))).any()

"""Our plane-wave simulator and beamformer against PyMUST, an independent implementation in the frequency domain."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgerecon.workshop.data.simulate.plane_wave import Grid, Receive, beamform_scatterers
from edgerecon.workshop.data.simulate.probe import Medium, Probe

pymust = pytest.importorskip("pymust", reason="PyMUST is not installed: make test installs it")


@pytest.mark.parametrize("angle_deg", [0.0, 8.0])
def test_log_envelope_agrees_with_simus(angle_deg: float, record_property: Callable[[str, object], None]) -> None:
    rng = np.random.default_rng(3)
    probe = Probe(5e6, 0.41, 0.3e-3, 0.27e-3, 96)  # their 45 % transducer after a one-cycle transmit pulse
    medium = Medium(1540.0, 0.5)
    grid = Grid(96, 0.15e-3, 12e-3)
    x = rng.uniform(grid.x[0], grid.x[-1], 1500)
    z = rng.uniform(grid.z[0], grid.z[-1], 1500)
    strength = rng.standard_normal(1500)
    strength[np.hypot(x - 1e-3, z - 18e-3) < 2.5e-3] = 0  # an anechoic cyst
    order = np.argsort(z)
    x, z, strength = x[order], z[order], strength[order]
    angle = np.deg2rad(angle_deg)

    ours = beamform_scatterers(
        x, z, strength.astype(np.float32), probe, medium, grid, Receive(1.5, "boxcar", 1540.0), np.array([angle]), (1,)
    )[0]
    theirs = _simus(probe, medium, grid, x, z, strength, angle)
    correlation = np.corrcoef(_log(ours).ravel(), _log(theirs).ravel())[0, 1]
    record_property("log_envelope_correlation", f"{correlation:.3f}")
    assert correlation > 0.92


def _simus(probe: Probe, medium: Medium, grid: Grid, x, z, strength, angle):  # type: ignore[no-untyped-def]
    param = pymust.utils.Param()
    param.fc, param.pitch, param.width = probe.centre_frequency, probe.pitch, probe.element_width
    param.Nelements, param.bandwidth = probe.elements, 45
    param.c, param.attenuation, param.fs = medium.sound_speed, medium.attenuation, 4 * probe.centre_frequency
    delays = pymust.txdelayPlane(param, angle)
    rf, _ = pymust.simus(x, z, strength, delays, param)
    iq = pymust.rf2iq(rf, param.fs, param.fc)
    gx, gz = np.meshgrid(grid.x, grid.z)
    param.fnumber, param.t0 = 1.5, np.zeros(1)
    return (pymust.dasmtx(iq, gx, gz, delays, param) @ iq.flatten(order="F")).reshape(gx.shape, order="F")


def _log(iq):  # type: ignore[no-untyped-def]
    envelope = np.abs(iq)
    return np.maximum(20 * np.log10(envelope / envelope.max() + 1e-9), -60)

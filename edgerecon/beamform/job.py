"""From an acquisition, a grid and settings to the job that kernels take: lengths in samples of path."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgerecon.beamform.acquisition import Acquisition
from edgerecon.beamform.apodisation import WINDOWS, Window
from edgerecon.beamform.grids import Grid
from edgerecon.beamform.settings import Settings
from edgerecon.beamform.transmits import Transmit
from edgerecon.cpu.das import Job

Array = NDArray[np.float64]


def make_job(
    acquisition: Acquisition,
    transmits: tuple[Transmit, ...],
    grid: Grid,
    settings: Settings,
    samples: int,
    sample_rate_hz: float,
    carrier_hz: float,
    kernel: str,
) -> Job:
    """The job of beamforming rows of ``samples`` at ``sample_rate_hz``.

    Args:
        acquisition: with its carrier, if ``settings`` narrow the transmits' beams.
        carrier_hz: of the rows; 0 for RF and analytic signals, whose turn is in the samples themselves.
        kernel: method of the kernels.
    """
    probe, speed = acquisition.probe, acquisition.sound_speed_m_s
    per_metre = sample_rate_hz / speed
    x, z = grid.points_m()
    paths = np.empty((len(transmits), *x.shape), np.float32)
    for path, one in zip(paths, transmits, strict=True):
        path[:] = one.path_m(x, z, probe, speed) * per_metre - one.start_s * sample_rate_hz
    window = receive_window(settings)
    return Job(
        x=x * per_metre,
        z=z * per_metre,
        element_x=probe.element_x_m * per_metre,
        element_z=probe.element_z_m * per_metre,
        element_sine=np.sin(probe.element_angle_rad),
        element_cosine=np.cos(probe.element_angle_rad),
        element_lens=np.full(probe.elements, probe.lens_delay_s * sample_rate_hz),
        transmit=paths,
        transmit_weight=transmit_weights(transmits, x, z, settings, acquisition),
        turns=np.full(len(transmits), carrier_hz * acquisition.first_sample_s if acquisition.iq else 0.0),
        samples=samples,
        iq=settings.signal != "rf" or acquisition.iq,
        cycles=carrier_hz / sample_rate_hz,
        slope=2 * settings.f_number,
        level=window.level,
        swing=window.swing,
        flat=window.flat,
        method=kernel,
    )


def receive_window(settings: Settings) -> Window:
    """Minimum variance makes its own weights."""
    return WINDOWS["boxcar" if settings.method == "mv" else settings.window]


def transmit_weights(
    transmits: tuple[Transmit, ...], x: Array, z: Array, settings: Settings, acquisition: Acquisition
) -> NDArray[np.float32] | None:
    """(transmits, H, W), or None where all are 1; no beam is narrower than a wavelength."""
    if not settings.transmit_f_number:
        return None
    wavelength = acquisition.sound_speed_m_s / acquisition.carrier_hz
    window, found = WINDOWS[settings.transmit_window], np.empty((len(transmits), *x.shape), np.float32)
    for weight, one in zip(found, transmits, strict=True):
        weight[:] = window(one.weight(x, z, settings.transmit_f_number, wavelength))
    return found


def heard(job: Job, rows: slice) -> NDArray[np.bool_]:
    """Which elements each pixel of some rows of the picture is heard by, (rows · W, N)."""
    x, z = job.x[rows].reshape(-1, 1), job.z[rows].reshape(-1, 1)
    dx, dz = x - job.element_x, z - job.element_z
    if job.slope <= 0:
        return np.ones(dx.shape, np.bool_)
    lateral = np.abs(dx * job.element_cosine - dz * job.element_sine) * job.slope
    return np.asarray(lateral <= dx * job.element_sine + dz * job.element_cosine)

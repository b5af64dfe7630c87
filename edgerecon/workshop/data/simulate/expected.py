"""The speckle-free image: the exact expectation over all scatterer draws of one echogenicity map.

Diffuse scatterers are independent and of zero mean, so the expected intensity at a pixel is the echogenicity
(scattering power per square wavelength) weighted by the squared magnitude of the point-spread function there, and
nothing else (Wagner et al., IEEE Trans. Sonics Ultrason. 30, 1983). The point-spread function varies slowly: it is
simulated at 5 × 5 isolated points with the same probe, angles and beamformer, and its blur is interpolated between
them. Wires and specular sheets are the same in every draw and keep their own simulated echo.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.workshop.data.simulate.plane_wave import Grid, Receive, beamform_scatterers
from edgerecon.workshop.data.simulate.probe import Medium, Probe

POINTS = 5
HALF = 28  # pixels that a point-spread function reaches, about ten wavelengths
RAYLEIGH_MEAN = math.sqrt(math.pi) / 2  # mean envelope of unit-power speckle


def expected_envelope(
    power: NDArray[np.float32],
    margin: int,
    psfs: NDArray[np.float32],
    wires: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """Mean envelope over draws.

    Args:
        power: echogenicity per pixel (scattering power × pixel area in square wavelengths), shape (size + 2·margin,)*2.
        margin: pixels of tissue around the image.
        psfs: squared magnitude of the point-spread functions, (POINTS, POINTS, patch, patch), see ``point_spread``.
        wires: envelope of the echoes that all draws share, (size, size), or None.

    Returns:
        float64 (size, size); for fully developed speckle it is √π/2 times the RMS envelope.
    """
    size = power.shape[0] - 2 * margin
    weights = _bilinear(size)
    intensity = np.zeros((size, size))
    for i in range(POINTS):
        for j in range(POINTS):
            blurred = cv2.filter2D(power, cv2.CV_32F, psfs[i, j, ::-1, ::-1], borderType=cv2.BORDER_REPLICATE)
            inner = blurred[margin : margin + size, margin : margin + size]
            intensity += np.outer(weights[i], weights[j]) * inner
    diffuse = RAYLEIGH_MEAN**2 * np.maximum(intensity, 0)
    return np.asarray(np.sqrt(diffuse + (0 if wires is None else wires**2)))


def point_spread(
    probe: Probe, medium: Medium, grid: Grid, receive: Receive, angles: NDArray[np.float64]
) -> NDArray[np.float32]:
    """|h|² around POINTS × POINTS unit scatterers, from the top left, float32 (POINTS, POINTS, patch, patch)."""
    centres = _centres(grid.size)
    around = Grid(grid.size + 2 * HALF, grid.spacing, grid.depth - HALF * grid.spacing)
    x, z = np.meshgrid(grid.x[centres], grid.z[centres] * medium.sound_speed / receive.sound_speed)
    unit = np.ones(x.size, np.float32)
    iq = beamform_scatterers(x.ravel(), z.ravel(), unit, probe, medium, around, receive, angles, (angles.size,))
    intensity = np.abs(iq[0]) ** 2
    taper = np.minimum(1, 4 * (1 - np.abs(np.arange(-HALF, HALF + 1)) / (HALF + 1)))
    patches = [[intensity[r : r + 2 * HALF + 1, c : c + 2 * HALF + 1] for c in centres] for r in centres]
    return np.asarray(np.array(patches) * np.outer(taper, taper), np.float32)


def _centres(size: int) -> NDArray[np.int64]:
    return np.asarray(np.rint(np.linspace(0, size - 1, POINTS)), np.int64)


def _bilinear(size: int) -> NDArray[np.float64]:
    """Interpolation weights of the POINTS centres at every pixel, (POINTS, size)."""
    eye = np.eye(POINTS)
    return np.stack([np.interp(np.arange(size), _centres(size), row) for row in eye])

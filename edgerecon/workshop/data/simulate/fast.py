"""B-mode frames in milliseconds: scatterers under one Gaussian point-spread function, for studies that need thousands.

    f(t) = g ∗ Σ_j a_j e^{−2ikz_j(t)} δ(x − x_j(t)) + n,   frame = log|f|

The linear, shift-invariant model of a scanner (Bamber & Dickinson, Phys. Med. Biol. 25, 1980) at baseband: g is the
point-spread function, the phase that of the echo's way, so that speckle changes as tissue moves along the beam. What
the plane-wave simulator adds (diffraction, side lobes, steering, aberration) is left out on purpose. Scenes, motion and
display are those of ``simulate_sample``; the speckle-free image is the expectation over all draws of the scatterers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.workshop.data.simulate.expected import RAYLEIGH_MEAN
from edgerecon.workshop.data.simulate.sample import FRAME_PERIOD, log_compress
from edgerecon.workshop.data.simulate.scene import MARGIN, Scene, random_scene

PER_CELL = 20.0
"""Scatterers in a resolution cell: fully developed speckle (Wagner et al., 1983)."""
FINER = 2
"""Grid points a pixel, each way, on which echoes are summed."""


@dataclass(frozen=True)
class Look:
    """How a scanner shows a scene.

    Attributes:
        axial, lateral: standard deviation of the point-spread function, in pixels. wavelength: in pixels.
        noise: of the receiver, relative to the speckle of background tissue. dynamic_range_db, headroom_db: see
            ``Acquisition``.
    """

    axial: float
    lateral: float
    wavelength: float
    noise: float
    dynamic_range_db: float
    headroom_db: float


def random_look(rng: np.random.Generator) -> Look:
    """Grain of 2 to 6 pixels, 50 to 65 dB of dynamic range, noise 45 to 20 dB below the speckle."""
    axial = float(rng.uniform(0.8, 1.5))
    return Look(
        axial=axial,
        lateral=axial * float(rng.uniform(1.0, 1.8)),
        wavelength=axial * 2.0,
        noise=float(10 ** (rng.uniform(-45, -20) / 20)),
        dynamic_range_db=float(rng.uniform(50, 65)),
        headroom_db=float(rng.uniform(0, 8)),
    )


def fast_sample(
    rng: np.random.Generator, size: int = 128, frames: int = 1, scene: Scene | None = None, look: Look | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Simulate one scene.

    Args:
        rng: fixes everything that is random. frames: at 30 a second. scene, look: default: random ones.

    Returns:
        (speckled, clean), uint8 (frames, size, size), 255 being 1.0: what the scanner shows, and the mean over all
        scatterer draws of the same tissue.
    """
    scene = random_scene(rng) if scene is None else scene
    look = random_look(rng) if look is None else look
    draw_seed = int(rng.integers(2**63))
    speckled, clean = [], []
    reference = 0.0
    for t in range(frames):
        seconds = t * FRAME_PERIOD
        envelope = np.abs(_echo(scene, look, size, seconds, np.random.default_rng(draw_seed)) + _noise(rng, look, size))
        expected = _expected(scene, look, size, seconds)
        reference = reference or float(np.percentile(expected, 99)) * 10 ** (look.headroom_db / 20)
        speckled.append(log_compress(envelope, reference, look.dynamic_range_db))
        clean.append(log_compress(expected, reference, look.dynamic_range_db))
    return np.stack(speckled), np.stack(clean)


def _echo(scene: Scene, look: Look, size: int, seconds: float, rng: np.random.Generator) -> NDArray[np.complex128]:
    """Baseband image (size, size) of one draw of the scatterers; the speckle of 0 dB tissue has unit power."""
    cell = _cell(look)
    count = int(PER_CELL * (size * (1 + 2 * MARGIN)) ** 2 / cell)
    x = rng.uniform(-0.5 - MARGIN, 0.5 + MARGIN, count)
    y = rng.uniform(-MARGIN, 1 + MARGIN, count)
    strength = scene.strength(x, y) * (rng.integers(0, 2, count) * 2.0 - 1.0)
    strength *= math.sqrt(cell / PER_CELL)
    x, y = np.concatenate([x, scene.wires[:, 0]]), np.concatenate([y, scene.wires[:, 1]])
    strength = np.concatenate([strength, _wire_strength(scene, look)])
    x, y = scene.move(x, y, seconds)
    return _image(x, y, strength, look, size)


def _cell(look: Look) -> float:
    """Area of a resolution cell in square pixels: 1 / ∫g² for g of unit sum."""
    return 4 * math.pi * look.axial * look.lateral


def _wire_strength(scene: Scene, look: Look) -> NDArray[np.float64]:
    """Such that the peak of a wire's echo is as its dB say, above the speckle of 0 dB tissue."""
    return np.asarray(10 ** (scene.wires[:, 2] / 20) * math.sqrt(_cell(look)) / 2)


def _image(
    x: NDArray[np.float64], y: NDArray[np.float64], strength: NDArray[np.float64], look: Look, size: int
) -> NDArray[np.complex128]:
    """Echoes summed on a finer grid with a margin, then blurred by the point-spread function, of unit energy."""
    margin = int(MARGIN * size)
    side = (size + 2 * margin) * FINER
    rows = np.floor((y * size + margin) * FINER).astype(np.int64)
    columns = np.floor(((x + 0.5) * size + margin) * FINER).astype(np.int64)
    inside = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
    index = rows[inside] * side + columns[inside]
    echo = strength[inside] * np.exp(-4j * np.pi * y[inside] * size / look.wavelength)
    grid = np.bincount(index, echo.real, side * side) + 1j * np.bincount(index, echo.imag, side * side)
    blurred = _blur(grid.reshape(side, side), look.axial * FINER, look.lateral * FINER)
    picked = blurred[FINER // 2 :: FINER, FINER // 2 :: FINER][margin : margin + size, margin : margin + size]
    return np.asarray(picked * FINER**2 * math.sqrt(_cell(look)))  # unit density of power gives unit intensity


def _expected(scene: Scene, look: Look, size: int, seconds: float) -> NDArray[np.float64]:
    """Mean envelope: √π/2 of the root of echogenicity under the squared point-spread function; wires keep their own."""
    margin = int(MARGIN * size)
    power = _blur(scene.power(size, margin, seconds).astype(np.float64), look.axial / 2**0.5, look.lateral / 2**0.5)
    power = power[margin : margin + size, margin : margin + size]
    wires = np.zeros((size, size))
    if len(scene.wires):
        x, y = scene.move(scene.wires[:, 0], scene.wires[:, 1], seconds)
        wires = np.abs(_image(x, y, _wire_strength(scene, look), look, size))
    return np.asarray(np.sqrt(RAYLEIGH_MEAN**2 * np.maximum(power, 0) + wires**2))


def _blur(image: NDArray[Any], axial: float, lateral: float) -> NDArray[Any]:
    """Gaussian of unit sum, rows being depth."""
    if np.iscomplexobj(image):
        return np.asarray(_blur(image.real, axial, lateral) + 1j * _blur(image.imag, axial, lateral))
    width, height = (2 * math.ceil(4 * sigma) + 1 for sigma in (lateral, axial))
    return cv2.GaussianBlur(image, (width, height), lateral, sigmaY=axial, borderType=cv2.BORDER_REFLECT)


def _noise(rng: np.random.Generator, look: Look, size: int) -> NDArray[np.complex128]:
    parts = rng.standard_normal((2, size, size)) * look.noise / 2**0.5
    return np.asarray(parts[0] + 1j * parts[1])

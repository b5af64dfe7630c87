"""Scenes with a known answer: layered tissue with no lesion, a cyst, or a solid one.

A cyst holds fluid: no echoes of its own, a smooth rim, often brighter tissue behind it, since fluid attenuates less. A
solid lesion is darker or brighter than the tissue around, with a texture of its own and an uneven rim (ACR BI-RADS
Atlas, 5th ed., 2013: ultrasound). Every scene has fascia, points and sheets too, so that what is not alike is no lesion
yet. Tissue is that of ``scene``, frames are those of ``fast``. The rim, and so every pixel's side of it, is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from edgerecon.workshop.data.simulate.fast import fast_sample, random_look
from edgerecon.workshop.data.simulate.scene import (
    FLOOR_DB,
    MARGIN,
    RESOLUTION,
    Scene,
    coordinates,
    layered,
    smooth_noise,
    texture,
)

CLASSES = ("absent", "cyst", "solid")
"""What a label counts from 0 on."""
INSIDE, AROUND = 0.85, (1.25, 1.7)
"""Where contrast is measured, in radii: off the rim, which any filter blurs."""
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Labelled:
    """Frames of one scene.

    Attributes:
        label: index into CLASSES. speckled: uint8 (looks, size, size), each a draw of the scatterers and a scanner of
            its own; clean: the same without speckle, see ``fast_sample``.
        radius: float16 (size, size), distance from the lesion's centre over that of its rim: below 1 is inside. Of a
            scene without lesion: of a place where one might have been.
        contrast_db: echogenicity of the lesion less that of the tissue before it came; 0 when there is none.
    """

    label: int
    speckled: NDArray[np.uint8]
    clean: NDArray[np.uint8]
    radius: NDArray[np.float16]
    contrast_db: float


def labelled_sample(rng: np.random.Generator, label: int, size: int = 64, looks: int = 1) -> Labelled:
    """Simulate one scene of a class. Raises ValueError for a label that is not in CLASSES."""
    if not 0 <= label < len(CLASSES):
        raise ValueError(f"label must be 0 to {len(CLASSES) - 1}, not {label}")
    x, y = coordinates()
    tissue, _ = layered(rng, y)
    radius, cx, cy, side = _outline(rng, x, y, uneven=0.03 if CLASSES[label] == "cyst" else 0.1)
    drawn, contrast = _with_lesion(rng, tissue, radius, CLASSES[label])
    if CLASSES[label] == "cyst" and rng.random() < 0.6:
        behind = (y > cy) * np.exp(-(((x - cx) / (0.8 * side)) ** 4)) * (radius > 1)
        drawn = drawn + rng.uniform(1, 5) * behind
    scene = Scene(np.clip(drawn, FLOOR_DB, 30).astype(np.float32), _points(rng))
    frames = [fast_sample(rng, size, 1, scene, random_look(rng)) for _ in range(looks)]
    speckled, clean = (np.concatenate(parts) for parts in zip(*frames, strict=True))
    return Labelled(label, speckled, clean, _on_pixels(radius, size), contrast)


def _outline(rng: np.random.Generator, x: Array, y: Array, uneven: float) -> tuple[Array, float, float, float]:
    """Distance over that of the rim (an ellipse with bumps), the centre and the long half-axis, in sides."""
    side = float(np.exp(rng.uniform(np.log(0.1), np.log(0.25))))
    cx, cy = float(rng.uniform(-0.3, 0.3)), float(rng.uniform(0.2, 0.8))
    other, angle = side * rng.uniform(0.6, 1.0), rng.uniform(-0.5, 0.5)
    along = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
    across = -(x - cx) * np.sin(angle) + (y - cy) * np.cos(angle)
    return np.hypot(along / side, across / other) * (1 + uneven * smooth_noise(rng, 0.06, 0.06)), cx, cy, side


def _with_lesion(rng: np.random.Generator, tissue: Array, radius: Array, kind: str) -> tuple[Array, float]:
    """Echogenicity in dB with the lesion in it, and the lesion's mean less that of the tissue it replaced."""
    if kind == "absent":
        return tissue, 0.0
    around = float(tissue[radius < 1].mean())
    if kind == "cyst":
        own = np.full_like(tissue, around - rng.uniform(18, 40))
    else:
        level = rng.uniform(-14, -6) if rng.random() < 0.75 else rng.uniform(6, 11)
        own = around + level + 0.6 * _without_mean(texture(rng), radius)
    softness = rng.choice([0.02, 0.06, 0.15])
    inside = 1 / (1 + np.exp(np.clip((radius - 1) / softness, -40, 40)))
    return tissue * (1 - inside) + own * inside, float(own[radius < 1].mean()) - around


def _without_mean(pattern: Array, radius: Array) -> Array:
    return np.asarray(pattern - pattern[radius < 1].mean())


def _points(rng: np.random.Generator) -> Array:
    """Isolated bright points, columns x, y, dB."""
    count = int(rng.poisson(1.5))
    return np.stack([rng.uniform(-0.5, 0.5, count), rng.uniform(0, 1, count), rng.uniform(8, 25, count)], axis=1)


def _on_pixels(radius: Array, size: int) -> NDArray[np.float16]:
    """A map of the scene at the centres of the frame's pixels."""
    at = ((np.arange(size) + 0.5) / size + MARGIN) * RESOLUTION / (1 + 2 * MARGIN) - 0.5
    rows, columns = np.meshgrid(at, at, indexing="ij")
    return np.asarray(np.minimum(map_coordinates(radius, [rows, columns], order=1), 100), np.float16)


def contrast(image: NDArray[np.floating], radius: NDArray[np.floating]) -> float:
    """Mean inside the lesion less the mean of the tissue around, in the grey levels of the image (H, W)."""
    low, high = AROUND
    return float(image[radius < INSIDE].mean() - image[(radius > low) & (radius < high)].mean())

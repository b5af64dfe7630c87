"""Random crops of image pairs, changed as scanners and their display settings change images."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.frame import to_uint8, to_unit
from edgerecon.workshop.recipe_tables import AugmentTable

Pixels = NDArray[np.uint8]
Crop = NDArray[np.float32]

_LEVELS = np.arange(256, dtype=np.float64) / 255


class Augment:
    """Draws a crop from a pair and changes it as the recipe's [augment] table says.

    Resampling changes the size of the speckle grain, which a scanner's scan conversion does too: simulated images have
    one fixed ratio of pixel to wavelength, real ones do not.
    """

    def __init__(self, table: AugmentTable, crop: int) -> None:
        self.table = table
        self.crop = crop

    def without_changes(self) -> Augment:
        """The same crops and flips, and nothing else."""
        table = AugmentTable(flip_lateral=self.table.flip_lateral, flip_axial=self.table.flip_axial)
        return Augment(table, self.crop)

    def __call__(self, source: Pixels, target: Pixels, rng: np.random.Generator) -> tuple[Crop, Crop]:
        """Draw one crop.

        Args:
            source, target: uint8 (H, W) of one shape, at least ``crop`` on each side.
            rng: the only source of chance.

        Returns:
            Input and target, float32 (crop, crop) in [0, 1].
        """
        table, crop = self.table, self.crop
        height, width = self._window(source.shape, rng)
        top = int(rng.integers(source.shape[0] - height + 1))
        left = int(rng.integers(source.shape[1] - width + 1))
        window = (slice(top, top + height), slice(left, left + width))
        levels = _grey_levels(table, rng)
        a = _resize(_mapped(source[window], levels), crop)
        b = _resize(_mapped(target[window], levels), crop)
        if table.graphics and rng.random() < table.graphics:
            shape, level = _graphics(crop, rng)
            a, b = a + shape * (level - a), b + shape * (level - b)
        a = self._degrade(a, rng)
        if table.flip_lateral and rng.random() < 0.5:
            a, b = a[:, ::-1], b[:, ::-1]
        if table.flip_axial and rng.random() < 0.5:
            a, b = a[::-1], b[::-1]
        return a, b

    def _window(self, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[int, int]:
        """Height and width of the region that becomes the crop: smaller than it when zoomed in."""
        zoom = math.exp(rng.uniform(*np.log(self.table.zoom)))
        stretch = math.exp(rng.uniform(-0.5, 0.5) * 2 * math.log(self.table.stretch))
        height = round(self.crop / (zoom / math.sqrt(stretch)))
        width = round(self.crop / (zoom * math.sqrt(stretch)))
        return min(max(height, 8), shape[0]), min(max(width, 8), shape[1])

    def _degrade(self, image: Crop, rng: np.random.Generator) -> Crop:
        """Blur and JPEG of the input alone: what a recording chain adds and the network should live with."""
        table = self.table
        if table.blur and rng.random() < table.blur_chance:
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, max(table.blur, 0.3))), np.float32)
        if table.jpeg_chance and rng.random() < table.jpeg_chance:
            quality = int(rng.integers(table.jpeg[0], table.jpeg[1] + 1))
            coded = cv2.imencode(".jpg", to_uint8(image), (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
            image = to_unit(np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)))
        return image


def _grey_levels(table: AugmentTable, rng: np.random.Generator) -> Crop:
    """Gain, offset and gamma as one table from 8-bit levels to [0, 1]."""
    gamma = math.exp(rng.uniform(-1, 1) * math.log(table.gamma))
    gain = math.exp(rng.uniform(*np.log(table.gain)))
    offset = rng.uniform(-1, 1) * table.offset
    return np.clip(gain * _LEVELS**gamma + offset, 0, 1).astype(np.float32)


def _graphics(side: int, rng: np.random.Generator) -> tuple[Crop, float]:
    """What scanners burn into their frames, as opacity (side, side) and grey level: text, lines, or a black outside."""
    opacity = np.zeros((side, side), np.uint8)
    kind = rng.integers(3)
    if kind == 0:
        for _ in range(int(rng.integers(1, 4))):
            text = "".join(rng.choice(list("0123456789.:cmMHzTIFRdB"), int(rng.integers(2, 9))))
            corner = rng.integers((0, 8), (side - 8, side)).tolist()
            cv2.putText(opacity, text, corner, cv2.FONT_HERSHEY_SIMPLEX, rng.uniform(0.25, 0.7), 255, 1, cv2.LINE_AA)
    elif kind == 1:
        for _ in range(int(rng.integers(1, 7))):
            ends = rng.integers(0, side, (2, 2))
            if rng.random() < 0.5:
                ends[1] = ends[0] + (ends[1] - ends[0]) // 4  # as short as a fibre
            cv2.line(opacity, ends[0].tolist(), ends[1].tolist(), 255, int(rng.integers(1, 4)), cv2.LINE_AA)
    else:
        angle, middle = rng.uniform(0, 2 * math.pi), rng.uniform(0.1, 0.9, 2) * side
        along, away = (np.array([math.cos(t), math.sin(t)]) * 3 * side for t in (angle, angle + math.pi / 2))
        half_plane = np.rint([middle - along, middle + along, middle + along + away, middle - along + away])
        cv2.fillPoly(opacity, [half_plane.astype(np.int32)], 255, cv2.LINE_AA)
        return to_unit(opacity), 0.0
    return to_unit(opacity), float(rng.uniform(0.2, 1.0))


def _mapped(image: Pixels, levels: Crop) -> Crop:
    return np.asarray(cv2.LUT(image, levels), np.float32)


def _resize(image: Crop, side: int) -> Crop:
    """To side × side: by area where it shrinks, against aliasing, cubic where it grows; mixed cases in two steps."""
    height, width = image.shape
    if height == width == side:
        return image
    if height < side < width:
        image = _scaled(image, side, height, cv2.INTER_AREA)
    elif width < side < height:
        image = _scaled(image, width, side, cv2.INTER_AREA)
    shrinks = max(image.shape) > side
    image = _scaled(image, side, side, cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.clip(image, 0, 1, out=image)


def _scaled(image: Crop, width: int, height: int, method: int) -> Crop:
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.float32)

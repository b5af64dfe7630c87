"""One pair: a frame as a scanner shows it, and the same frame averaged over all speckle that tissue could have."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.workshop.data.display.examination import ANY, LESIONS, RECORDED, Examination
from edgerecon.workshop.data.display.fields import Map, log_uniform
from edgerecon.workshop.data.display.greymap import random_grey_map
from edgerecon.workshop.data.display.overlay import put, random_overlays
from edgerecon.workshop.data.display.processing import coded, random_post_processing, random_zoom, resample
from edgerecon.workshop.data.display.scan import random_scan
from edgerecon.workshop.data.display.speckle import echoes, random_grain, sampling
from edgerecon.workshop.data.display.textures import Texture
from edgerecon.workshop.data.display.tissue import random_tissue

SIZE = 192
CANVAS = 256  # what is drawn: a frame that a recorder has shrunk shows more of it
NAMES = ("shown", "expected")
PERSISTENCE = (1, 1, 1, 1, 2, 3)  # displayed frames that are averaged


def simulate_sample(
    seed: int, index: int, texture: Texture | None = None, examination: Examination = ANY
) -> tuple[dict[str, NDArray[np.uint8]], dict[str, float | str]]:
    """Simulate one pair.

    Args:
        seed, index: fix everything random about it. texture: see ``random_tissue``.
        examination: what the display may show.

    Returns:
        Images by name, uint8 (SIZE, SIZE): "shown" and "expected"; and the parameters.
    """
    rng = np.random.default_rng([seed, index])
    grain = random_grain(rng, examination.looks)
    scan = random_scan(rng, CANVAS, sampling(rng, grain))
    tissue = random_tissue(rng, CANVAS, texture, examination.chances, examination.drawn_in)
    diffuse, specular = (scan.to_beams(_linear(part)) for part in (tissue.diffuse, tissue.specular))
    echo = echoes(diffuse, specular, grain, scan.density)
    grey_map = random_grey_map(rng, echo.mean, scan.to_beams(scan.view) > 0.5, examination.white_above)
    persistence = min(int(rng.choice(PERSISTENCE)), max(16 // grain.looks, 1))
    looks = (grey_map.show(echo.realise(rng, grain.looks)) for _ in range(persistence))
    shown = np.asarray(sum(looks) / np.float32(persistence), np.float32)
    expected = grey_map.show_mean(echo.mean, echo.coherent, grain.looks)
    processing, overlays, zoom = random_post_processing(rng), random_overlays(rng, scan.view), random_zoom(rng)
    pair = [resample(put(processing(scan.to_display(frame)), overlays), zoom) for frame in (shown, expected)]
    top, left = (int(rng.integers(side - SIZE + 1)) for side in pair[0].shape)
    window = slice(top, top + SIZE), slice(left, left + SIZE)
    before, after = (_eight_bits(frame[window]) for frame in pair)
    facts: dict[str, float | str] = {
        "axial_px": grain.axial * zoom[0],
        "lateral_px": grain.lateral * zoom[1],
        "growth": grain.growth,
        "looks": grain.looks,
        "persistence": persistence,
        "range_db": grey_map.range_db,
    }
    before = coded(rng, before, examination.coding)
    if examination.enlarged and rng.random() < examination.enlarged:
        before, after = _enlarged(rng, before, after)
    return {"shown": before, "expected": after}, facts


simulate_small_lesions = partial(simulate_sample, examination=LESIONS)
simulate_recorded = partial(simulate_sample, examination=RECORDED)


def _enlarged(rng: np.random.Generator, *frames: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], ...]:
    """The same window of each, enlarged to its size."""
    side = round(SIZE / log_uniform(rng, 1.15, 2))
    top, left = (int(corner) for corner in rng.integers(SIZE - side + 1, size=2))
    parts = (frame[top : top + side, left : left + side] for frame in frames)
    return tuple(np.asarray(cv2.resize(part, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC), np.uint8) for part in parts)


def _linear(decibels: Map) -> Map:
    return np.exp(decibels * np.float32(np.log(10) / 10))


def _eight_bits(frame: Map) -> NDArray[np.uint8]:
    return np.asarray(np.rint(frame * 255), np.uint8)

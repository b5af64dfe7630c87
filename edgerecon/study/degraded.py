"""What the restoration networks learn from and are tested on: simulated frames, degraded at random when drawn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edgerecon.core.frame import Image, to_uint8, to_unit
from edgerecon.quality.filters.contrast import stretching
from edgerecon.quality.regions import find_regions
from edgerecon.study.comparison import Case
from edgerecon.study.context import Arrays
from edgerecon.study.training import Draw
from edgerecon.workshop.data import degrade
from edgerecon.workshop.train.ssim import SSIM

Degrade = Callable[[Image, Image, np.random.Generator], tuple[Image, Image]]
"""(speckled, clean, rng) → (input, target), all float32 (H, W) in [0, 1]."""

WINDOW = 16
"""Side of the regions for CNR and gCNR, in pixels."""
WHOLE = 1.0
"""Per cent of pixels that reach either end of a target's grey scale: how bright a frame was before its contrast was
lost cannot be known, so that no target depends on it."""


def noisy(speckled: Image, clean: Image, rng: np.random.Generator) -> tuple[Image, Image]:
    """Speckle and electronic noise, σ 0.02 to 0.12; wanted: neither."""
    return degrade.electronic_noise(speckled, rng.uniform(0.02, 0.12), rng), clean


def with_artefacts(speckled: Image, clean: Image, rng: np.random.Generator) -> tuple[Image, Image]:
    """Reverberation, weak lines, interference, or several of them; wanted: the same speckle without them."""
    frame, width = speckled, speckled.shape[1]
    present = rng.random(3) < 0.6
    present[rng.integers(3)] = True
    if present[0]:
        frame = degrade.reverberation(frame, int(rng.integers(10, 33)), rng.uniform(8, 20))
    if present[1]:
        frame = degrade.weak_lines(frame, int(rng.integers(width // 32, width // 8)), rng.uniform(6, 20), rng)
    if present[2]:
        frame = degrade.interference(frame, int(rng.integers(width // 32, width // 8)), rng.uniform(0.3, 0.8), rng)
    return frame, speckled


def pale(speckled: Image, clean: Image, rng: np.random.Generator) -> tuple[Image, Image]:
    """Too narrow a grey scale, a wrong time gain and haze, at 8 bits; wanted: the frame before."""
    haze = rng.uniform(0, 0.3)
    frame = degrade.lost_contrast(
        speckled, rng.uniform(0.4, 1 - haze), rng.uniform(0, 0.6), rng.uniform(0.7, 1.4), haze
    )
    return to_unit(to_uint8(frame)), speckled


def faint_and_noisy(speckled: Image, clean: Image, rng: np.random.Generator) -> tuple[Image, Image]:
    """Speckle, noise and lost contrast, at 8 bits; wanted: the speckle-free frame over the whole grey scale."""
    noise = degrade.electronic_noise(speckled, rng.uniform(0.01, 0.06), rng)
    return pale(noise, clean, rng)[0], stretching(clean, WHOLE)


def without_lines(speckled: Image, clean: Image, rng: np.random.Generator) -> tuple[Image, Image]:
    """A tenth to a third of the lines missing, in runs of up to 6; wanted: the whole frame, of 1/255 at least."""
    return degrade.lost_lines(speckled, rng.uniform(0.1, 0.33), 6, rng), degrade.known(speckled)


def without_regions(speckled: Image, clean: Image, rng: np.random.Generator) -> tuple[Image, Image]:
    """One to five missing ellipses of 4 to 14 pixels half axis; wanted: see ``without_lines``."""
    return degrade.lost_regions(speckled, int(rng.integers(1, 6)), (4, 14), rng), degrade.known(speckled)


def with_holes(speckled: Image, clean: Image, rng: np.random.Generator) -> tuple[Image, Image]:
    """Missing lines or missing regions."""
    return (without_lines if rng.random() < 0.5 else without_regions)(speckled, clean, rng)


def crops(scenes: Arrays, make: Degrade, crop: int, batch: int) -> Draw:
    """Batches (input, target), N×1×crop×crop: frames degraded whole, mirrored left–right at random, then cut."""

    def draw(rng: np.random.Generator) -> tuple[Tensor, ...]:
        parts = [_crop(*make(*_frames(scenes, *_index(scenes, rng)), rng), crop, rng) for _ in range(batch)]
        return tuple(torch.from_numpy(np.stack(part)[:, None]) for part in zip(*parts, strict=True))

    return draw


def cases(scenes: Arrays, make: Degrade, rng: np.random.Generator) -> list[Case]:
    """One a scene: its first frame."""
    found = []
    for scene in range(len(scenes["speckled"])):
        speckled, clean = _frames(scenes, scene, 0)
        found.append(Case(*make(speckled, clean, rng), find_regions(speckled, WINDOW)))
    return found


def error(output: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """2·h(y − t) + 0.1·(1 − SSIM(y, t)), after Zhao et al., IEEE TCI 3(1), 2017, with Huber's h in place of |y − t|.

    h is quadratic below 0.1. Most pixels of a frame with artefacts are right as they are: under the absolute error the
    network stayed at "change nothing", where each of them pulls as hard as a wrong one.
    """
    huber = F.smooth_l1_loss(output, target, beta=0.1)
    return 2 * huber + 0.1 * (1 - _SIMILARITY.to(output.device)(output, target).mean())


_SIMILARITY = SSIM()


def _index(scenes: Arrays, rng: np.random.Generator) -> tuple[int, int]:
    count, frames = scenes["speckled"].shape[:2]
    return int(rng.integers(count)), int(rng.integers(frames))


def _frames(scenes: Arrays, scene: int, frame: int) -> tuple[Image, Image]:
    return to_unit(scenes["speckled"][scene, frame]), to_unit(scenes["clean"][scene, frame])


def _crop(source: Image, target: Image, side: int, rng: np.random.Generator) -> tuple[Image, Image]:
    top, left = (int(rng.integers(length - side + 1)) for length in source.shape)
    step = -1 if rng.random() < 0.5 else 1
    cut = (slice(top, top + side), slice(left, left + side))
    return source[cut][:, ::step], target[cut][:, ::step]

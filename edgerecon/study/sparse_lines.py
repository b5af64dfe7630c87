"""Ultrasound from a third of the scan lines: interpolation, total-variation inpainting, and a U-Net."""

from __future__ import annotations

import functools
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.quality.measures.full_reference import mse
from edgerecon.study import reconstruction as common
from edgerecon.study.context import Context
from edgerecon.study.results import Table
from edgerecon.study.scenes import held_out, in_parallel, ultrasound
from edgerecon.study.training import Draw
from edgerecon.workshop.data.proximal import total_variation_prox
from edgerecon.workshop.train.steps import Batch

EVERY = 3
"""One line in so many is fired: three times the frame rate."""
NETWORK = "ultrasound-lines"
WEIGHTS = (0.005, 0.01, 0.02, 0.04)
TUNED_ON = 4
UNET = "U-Net"


def run(ctx: Context) -> None:
    """Simulate, train, measure and report the system; its outcome is added to ``ctx.result``."""
    train, test = (_frames(ctx, split) for split in ("train", "test"))
    few = train[:TUNED_ON, 0]
    errors = [np.mean([mse(inpaint(image, weight), image) for image in few]) for weight in WEIGHTS]
    weight = WEIGHTS[int(np.argmin(errors))]
    draw, check = batches(ctx, train)
    net = common.trained(ctx, NETWORK, draw, {"scenes": len(train), "every": EVERY}, check=check)
    flat = test.reshape(-1, *test.shape[-2:])
    tv = np.stack(list(in_parallel(functools.partial(_inpainted, flat, weight), len(flat))))
    methods = {name: np.stack([fill(image, how) for image in flat]) for name, how in INTERPOLATIONS.items()}
    outputs = {**methods, "TV inpainting": tv, UNET: common.apply(net, methods["linear"])}
    ctx.hold_out("study-ultrasound-lines", methods["linear"], flat)
    shaped = {name: images.reshape(test.shape) for name, images in outputs.items()}
    rows = [
        common.row(
            name, "trained" if name == UNET else "classical", images, test, paper=common.PAPER if name == UNET else None
        )
        for name, images in shaped.items()
    ]
    title = f"Ultrasound from one scan line in {EVERY}"
    data = (
        f"{len(test)} simulated scenes, {test.shape[-1]}×{test.shape[-1]} pixels, speckle kept; the U-Net sees linear"
    )
    table = Table(title, common.METRICS, tuple(rows), data)
    ctx.result.tables.append(table)
    ctx.result.pictures.append(common.picture(title, {"truth": test, **shaped}))
    ctx.result.claims += common.claims(table, (UNET, "TV inpainting"), "U-Net over TV inpainting", target=False)
    ctx.result.claims += common.claims(table, (UNET, "cubic"), "U-Net over cubic interpolation", target=False)


def batches(ctx: Context, train: common.Slices) -> tuple[Draw, Draw | None]:
    """What to learn from, and by what a long study judges."""
    kept = held_out(ctx, common.side(ctx))
    draw = functools.partial(draw_lines, train[:, 0], common.batch_size(ctx))
    if kept is None:
        return draw, None
    return draw, functools.partial(draw_lines, kept["speckled"][:, 0] / np.float32(255), common.batch_size(ctx))


def _frames(ctx: Context, split: str) -> common.Slices:
    """What the scanner shows with all lines: that, not the tissue behind the speckle, is to be restored."""
    scenes = (
        ctx.profile.pick(smoke=3, quick=80, full=3000)
        if split == "train"
        else (ctx.profile.pick(smoke=2, quick=20, full=100))
    )
    found = ultrasound(ctx, f"lines-{split}", scenes, common.side(ctx))
    return found["speckled"].astype(np.float32) / 255


INTERPOLATIONS = {"nearest": cv2.INTER_NEAREST, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}


def fill(image: NDArray[Any], how: int = cv2.INTER_LINEAR) -> NDArray[np.float32]:
    """The columns between every third one, interpolated along each row; the last ones repeat their neighbour."""
    height, width = image.shape
    kept = np.ascontiguousarray(image[:, ::EVERY], np.float32)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32) / EVERY, np.arange(height, dtype=np.float32))
    found = cv2.remap(kept, x, y, how, borderMode=cv2.BORDER_REPLICATE)
    return np.clip(found, 0, 1).astype(np.float32)


def inpaint(image: NDArray[Any], weight: float, iterations: int = 30) -> NDArray[np.float32]:
    """Total variation of the whole, lines that were fired held fixed: projected proximal steps from linear filling."""
    found = fill(image)
    for _ in range(iterations):
        found = total_variation_prox(found, weight).astype(np.float32)
        found[:, ::EVERY] = image[:, ::EVERY]
    return np.clip(found, 0, 1)


def _inpainted(images: NDArray[Any], weight: float, index: int) -> NDArray[np.float32]:
    return inpaint(images[index], weight)


def draw_lines(images: NDArray[Any], count: int, rng: np.random.Generator) -> Batch:
    """A batch: frames, mirrored in half of the draws and moved sideways, with lines left out anew."""
    targets = []
    for index in rng.integers(len(images), size=count):
        image = images[index][:, ::-1] if rng.random() < 0.5 else images[index]
        targets.append(np.roll(image, int(rng.integers(-8, 9)), axis=1))
    return common.tensors([fill(image) for image in targets], targets)

"""Enhancement by a CNN of convolution, pooling and fully connected layers, and by its fully convolutional form."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from edgerecon.core.frame import Image
from edgerecon.quality.filters import classical, contrast
from edgerecon.quality.filters.tuning import matched_psnr
from edgerecon.quality.measures.full_reference import psnr
from edgerecon.study.comparison import (
    MATCHED,
    Method,
    beats,
    compare,
    exported,
    given_and_wanted,
    picture,
    tuned,
    unchanged,
)
from edgerecon.study.context import Arrays, Context
from edgerecon.study.degraded import cases, error, faint_and_noisy
from edgerecon.study.results import PSNR, SSIM
from edgerecon.study.scenes import held_out, ultrasound
from edgerecon.study.training import Draw, Schedule
from edgerecon.workshop.data.augment import Augment
from edgerecon.workshop.models.enhance_cnn import EnhanceCNN
from edgerecon.workshop.recipe_tables import AugmentTable
from edgerecon.workshop.train.steps import Supervised

TITLE = "Enhancement by CNN"
PAPER = (
    "Enhancement of ultrasound images with a convolutional network (preprocessing, convolution, pooling and fully "
    "connected layers; Adam, rate 1e-3, batches of 32, 100 epochs) against classical contrast and speckle filters."
)
RATE, BATCH, EPOCHS = 1e-3, 32, 100
TUNED_ON = 8
FORMS = {"CNN, fully connected": 256, "CNN, fully convolutional": 0}
"""Name → hidden units; see ``EnhanceCNN``."""


def run(ctx: Context) -> None:
    """Data, both forms of the network, classical methods, one table."""
    size = ctx.profile.pick(smoke=64, quick=128, full=256)
    frames = ctx.profile.pick(smoke=1, quick=3, full=2)
    train = ultrasound(ctx, "train", ctx.profile.pick(smoke=6, quick=160, full=3000), size, frames)
    test = cases(
        ultrasound(ctx, "unseen", ctx.profile.pick(smoke=3, quick=96, full=200, long=288), size),
        faint_and_noisy,
        ctx.rng("test frames"),
    )
    baselines = classical_methods(ctx, train)
    methods = [unchanged(), *baselines]
    for name, hidden in FORMS.items():
        network = trained(ctx, name, hidden, train)
        path = ctx.ship(network, f"study-enhance-{'dense' if hidden else 'conv'}", "enhance", (128, 128))
        ctx.hold_out(path.stem, *given_and_wanted(test))
        methods.append(exported(name, path, f"{EPOCHS} epochs, batches of {BATCH}, Adam at {RATE:g}"))
    found = compare(TITLE, f"{len(test)} simulated test scenes. {faint_and_noisy.__doc__}", test, methods)
    ctx.result.tables.append(found.table)
    ctx.result.pictures.append(picture(found, test, 0, TITLE))
    others = ["input", *(method.name for method in baselines)]
    dense, whole = FORMS
    ctx.result.claims += [
        beats(found, dense, others, PSNR, "The CNN with fully connected layers enhances better than classical methods"),
        beats(found, whole, others, PSNR, "The fully convolutional CNN enhances better than classical methods"),
        beats(found, whole, others, MATCHED, "It does so also where brightness and contrast are forgiven"),
        beats(found, whole, [dense], SSIM, "The fully convolutional form is better than the fully connected one"),
    ]
    ctx.result.notes.append(
        "Frames are resized (by 0.8 to 1.25), scaled to [0, 1] and mirrored at random; an epoch is one crop of every "
        "training frame. The fully connected layers write patches of 16×16 pixels that know little of each other, so "
        "that borders can show between them; the fully convolutional form has none. Stretching and equalisation "
        "restore contrast and keep, or raise, the noise; filters lower the noise and leave the contrast lost: one row "
        "does both, a filter after stretching."
    )


def classical_methods(ctx: Context, train: Arrays) -> Sequence[Method]:
    """Each at its best on training scenes; contrast methods by PSNR, filters by PSNR after gain and offset."""
    few = {name: frames[:TUNED_ON] for name, frames in train.items()}
    pairs = [(case.frame, case.target) for case in cases(few, faint_and_noisy, ctx.rng("tuning"))]
    names = (*contrast.CONTRASTS, *(one.name for one in classical.FILTERS))
    found: dict[str, Method] = {}
    for done, name in enumerate(names):
        ctx.progress(f"{ctx.result.name}: tuning {name}", done, len(names) + 1)
        found[name] = tuned(name, pairs, psnr if name in contrast.CONTRASTS else matched_psnr)
    stretch = found["contrast stretching"].run
    both = tuned("non-local means", [(stretch(frame), target) for frame, target in pairs], psnr)

    def stretched_then_filtered(frame: Image) -> Image:
        return both.run(stretch(frame))

    name = "stretching, then non-local means"
    return [*found.values(), Method(name, "classical", stretched_then_filtered, both.note)]


def trained(ctx: Context, name: str, hidden: int, train: Arrays) -> EnhanceCNN:
    """One form of the network, as the paper trains it."""
    width = ctx.profile.pick(smoke=2, quick=16, full=64)
    crop = ctx.profile.pick(smoke=32, quick=48, full=128)
    count = train["speckled"].shape[0] * train["speckled"].shape[1]
    steps = ctx.profile.pick(smoke=3, quick=count * EPOCHS // BATCH, full=count * EPOCHS // BATCH)
    facts = {"scenes": len(train["speckled"]), "crop": crop, "batch": BATCH, "width": width, "hidden": hidden}
    kept = held_out(ctx, train["speckled"].shape[-1])
    network: EnhanceCNN = ctx.train(
        "enhance-dense" if hidden else "enhance-conv",
        lambda: Supervised(EnhanceCNN(width, hidden), error),
        preprocessed(train, crop, 2 if ctx.profile.name == "smoke" else BATCH),
        Schedule(steps, RATE),
        facts,
        preprocessed(kept, crop, BATCH) if kept else None,
    )
    return network


def preprocessed(scenes: Arrays, crop: int, batch: int) -> Draw:
    """Batches (input, target), N×1×crop×crop: resized, scaled to [0, 1], mirrored, then made faint and noisy."""
    size = scenes["speckled"].shape[-1]
    whole = Augment(AugmentTable(zoom=(0.8, 1.25), flip_lateral=True), size)
    _, frames = scenes["speckled"].shape[:2]

    def one(rng: np.random.Generator) -> tuple[Image, Image]:
        at = int(rng.integers(len(scenes["speckled"]))), int(rng.integers(frames))
        source, target = faint_and_noisy(*whole(scenes["speckled"][at], scenes["clean"][at], rng), rng)
        top, left = (int(t) for t in rng.integers(size - crop + 1, size=2))
        cut = (slice(top, top + crop), slice(left, left + crop))
        return source[cut], target[cut]

    def draw(rng: np.random.Generator) -> tuple[Tensor, ...]:
        pairs = [one(rng) for _ in range(batch)]
        return tuple(torch.from_numpy(np.stack(part)[:, None]) for part in zip(*pairs, strict=True))

    return draw

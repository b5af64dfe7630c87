"""Inpainting of missing lines and regions: a GAN, the same network without its adversary, and OpenCV's methods."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
import torch
from torch import Tensor

from edgerecon.core.frame import Image, to_uint8
from edgerecon.quality.measures.full_reference import psnr
from edgerecon.study import degraded
from edgerecon.study.comparison import (
    CNR,
    GCNR,
    SNR,
    Case,
    Method,
    beats,
    compare,
    exported,
    figures,
    given_and_wanted,
    picture,
    unchanged,
)
from edgerecon.study.context import Arrays, Context
from edgerecon.study.results import MSE, PSNR, SSIM, Metric
from edgerecon.study.scenes import held_out
from edgerecon.study.training import Schedule
from edgerecon.workshop.models.inpainting import Inpainting
from edgerecon.workshop.models.patch_discriminator import PatchDiscriminator
from edgerecon.workshop.train.steps import Adversarial, Supervised

HOLE = Metric("hole_psnr_db", "PSNR in the holes, dB", "higher", 2)
TEXTURE = Metric("texture", "texture in the holes", "", 2)
SHOWN = (MSE, PSNR, SSIM, HOLE, TEXTURE, SNR, CNR, GCNR)
METHODS = {"Telea": cv2.INPAINT_TELEA, "Navier–Stokes": cv2.INPAINT_NS}
RADIUS = 5
"""How far OpenCV's methods look, in pixels: the widest run of lost lines is 6."""


def run(ctx: Context, train: Arrays, test: Arrays) -> None:
    """Adds two tables (lines, regions), their pictures and claims, and both networks."""
    width = ctx.profile.pick(smoke=4, quick=16, full=48)
    crop, batch = ctx.profile.pick(smoke=(32, 2), quick=(64, 12), full=(128, 32))
    schedule = Schedule(ctx.profile.pick(smoke=3, quick=450, full=20_000), 2e-3)
    draw = degraded.crops(train, degraded.with_holes, crop, batch)
    facts = {"scenes": len(train["speckled"]), "crop": crop, "batch": batch, "task": "holes"}

    kept = held_out(ctx, train["speckled"].shape[-1])
    check = degraded.crops(kept, degraded.with_holes, crop, batch) if kept else None
    plain = ctx.train("inpainting-cnn", lambda: Supervised(Inpainting(width), content), draw, schedule, facts, check)
    gan = ctx.train(
        "inpainting-gan",
        lambda: Adversarial(Inpainting(width), PatchDiscriminator(2, width), content, weight=0.02, judged=with_mask),
        draw,
        schedule,
        facts,
        check,
    )
    shape = (128, 128)
    methods = [
        unchanged(),
        *(Method(name, "classical", partial(fill, how=how)) for name, how in METHODS.items()),
        exported("CNN", ctx.ship(plain, "study-inpainting-cnn", "inpaint", shape), "trained for the mean error alone"),
        exported("GAN", ctx.ship(gan, "study-inpainting-gan", "inpaint", shape), "the same network and an adversary"),
    ]
    for what, make in (("lines", degraded.without_lines), ("regions", degraded.without_regions)):
        cases = degraded.cases(test, make, ctx.rng(f"missing {what}"))
        data = f"{len(cases)} simulated test scenes with missing {what}; texture: see the note; 1 is the target's."
        for name in ("cnn", "gan"):
            ctx.hold_out(f"study-inpainting-{name}", *given_and_wanted(cases))
        found = compare(f"Inpainting of missing {what}", data, cases, methods, SHOWN, measure)
        ctx.result.tables.append(found.table)
        ctx.result.pictures.append(picture(found, cases, 0, f"Inpainting of missing {what}"))
        ctx.result.claims += [
            beats(found, "GAN", METHODS, HOLE, f"A GAN fills missing {what} closer to the truth than OpenCV's methods"),
            beats(found, "GAN", ["CNN"], HOLE, f"The adversary brings missing {what} closer to the truth"),
        ]
    ctx.result.notes.append(
        "Inpainting: what is missing is black, and the networks change nothing else. Texture is the standard deviation "
        "of the Laplacian in the holes over that of the target's there: below 1 a filling is smoother than speckle. "
        "Speckle in a hole cannot be known, so that the mean over all speckle has the least error and no texture; "
        "a GAN, which must look real, invents speckle and pays for it in PSNR: its filling is plausible, not measured."
    )


def content(output: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """10·(y − t)², mean over the holes: nothing else can differ. At 20 dB, a good filling's, it is about |y − t|."""
    hole = (source == 0).to(output.dtype)
    return 10 * ((output - target).square() * hole).sum() / hole.sum().clamp_min(1)


def with_mask(image: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """What the discriminator sees: N×2×H×W, the frame and where its holes were."""
    return torch.cat([image, (source == 0).to(image.dtype)], dim=1)


def fill(frame: Image, how: int) -> Image:
    """OpenCV's inpainting at 8 bits: Telea, J. Graph. Tools 9(1), 2004, or Bertalmio et al., CVPR 2001."""
    filled = cv2.inpaint(to_uint8(frame), (frame == 0).astype(np.uint8), RADIUS, how)
    return np.where(frame == 0, filled / np.float32(255), frame)


def measure(output: Image, case: Case) -> dict[str, float]:
    """``figures``, and PSNR and texture over the holes alone."""
    hole = case.frame == 0
    sharp, wanted = (cv2.Laplacian(image, cv2.CV_32F)[hole].std() for image in (output, case.target))
    return figures(output, case) | {
        HOLE.key: psnr(output[hole][None], case.target[hole][None]) if hole.any() else float("nan"),
        TEXTURE.key: float(sharp / wanted) if hole.any() and wanted > 0 else float("nan"),
    }

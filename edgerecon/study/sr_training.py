"""How the networks of the super-resolution study are trained: crops, losses, and five methods an enlargement."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from edgerecon.study.context import Context
from edgerecon.study.labelled import classifier_batches, cross_entropy, labelled
from edgerecon.study.scenes import HELD_OUT, held_out
from edgerecon.study.training import Draw, Schedule, digest
from edgerecon.workshop.data.lesions import CLASSES
from edgerecon.workshop.models.densenet import DenseNet
from edgerecon.workshop.models.network import Network
from edgerecon.workshop.models.rrdb import RRDB
from edgerecon.workshop.models.sr_discriminator import SRDiscriminator
from edgerecon.workshop.models.srcnn import SRCNN
from edgerecon.workshop.models.srresnet import SRResNet
from edgerecon.workshop.train.perceptual import OwnFeatures, PerceptualLoss, vgg19_features
from edgerecon.workshop.train.steps import Adversarial, Loss, Supervised

VGG19 = "EDGERECON_VGG19"
"""Environment variable: a file with VGG19's weights, see ``train.perceptual``."""


def crops(images: NDArray[np.uint8], scale: int, side: int, batch: int) -> Draw:
    """(small, large) pairs: large crops of side·scale pixels, mirrored and turned; small: their scale×scale means.

    Args:
        images: (n, H, W), 255 being 1.0. side: of the small crops.
    """
    large = side * scale

    def draw(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        picked = []
        for index in rng.integers(len(images), size=batch):
            top, left = (int(rng.integers(length - large + 1)) for length in images.shape[1:])
            crop = images[index, top : top + large, left : left + large]
            crop = np.rot90(crop, int(rng.integers(4)))
            picked.append(crop[:, ::-1] if rng.random() < 0.5 else crop)
        target = torch.from_numpy(np.stack(picked)[:, None] / np.float32(255))
        return F.avg_pool2d(target, scale), target

    return draw


def log_error(power: int) -> Loss:
    """mean over crops of log mean|a − b|^power: for power 2 the PSNR itself, less its sign and factor.

    A plain mean would be that of the speckled crops alone, whose error is thirty times that of the others.
    """

    def loss(output: Tensor, small: Tensor, large: Tensor) -> Tensor:
        return ((output - large).abs() ** power).mean(dim=(1, 2, 3)).add(1e-6).log().mean()

    return loss


def perceptual(ctx: Context) -> tuple[PerceptualLoss, str]:
    """The loss, and a sentence on whose features it compares."""
    if path := os.environ.get(VGG19):
        return PerceptualLoss(vgg19_features(Path(path))), "Perceptual losses compare features of VGG19 (own weights)."
    network = _feature_network(ctx)
    return PerceptualLoss(OwnFeatures(network)), (
        "No weights of VGG19 ship with this study: perceptual losses compare features of a small DenseNet that was "
        f"trained here to tell lesions on simulated frames ({VGG19}=FILE brings those of VGG19)."
    )


def _feature_network(ctx: Context) -> DenseNet:
    """A DenseNet of two blocks that learned cyst, solid or no lesion on raw and speckle-free frames."""
    scenes = labelled(ctx, "lesions", *ctx.profile.pick(smoke=(6, 32), quick=(96, 64), full=(3000, 96)), looks=2)
    kept = labelled(ctx, "held out lesions", HELD_OUT, scenes["speckled"].shape[-1]) if ctx.turns else scenes
    draw, check = (
        classifier_batches(
            np.concatenate([part["speckled"], part["clean"]], axis=1),
            part["label"],
            ctx.profile.pick(smoke=4, quick=24, full=64),
        )
        for part in (scenes, kept)
    )
    blocks, growth, width = ctx.profile.pick(smoke=((1, 1), 4, 8), quick=((3, 4), 12, 16), full=((6, 12), 32, 64))
    network: DenseNet = ctx.train(
        "features",
        lambda: Supervised(DenseNet(len(CLASSES), blocks, growth, width), cross_entropy),
        draw,
        Schedule(ctx.profile.pick(smoke=2, quick=150, full=10_000), 2e-3),
        check=check,
    )
    return network


def trained_networks(ctx: Context, scale: int, images: NDArray[np.uint8], alike: PerceptualLoss) -> dict[str, Network]:
    """Method → network. The adversarial ones start from the generator that was trained for PSNR, as in their papers.

    Args:
        images: (n, H, W) to cut crops from. alike: perceptual loss.
    """
    batch = ctx.profile.pick(smoke=2, quick=16, full=32)
    side = ctx.profile.pick(smoke=12, quick=24 if scale == 2 else 16, full=48)
    draw = crops(images, scale, side, batch)
    kept = held_out(ctx, images.shape[-1])
    check = crops(np.concatenate([kept["speckled"], kept["clean"]])[:, 0], scale, side, batch) if kept else None
    pick = ctx.profile.pick
    found: dict[str, Network] = {}

    def for_psnr(name: str, network: Any, power: int, steps: int, rate: float) -> None:
        found[name] = ctx.train(
            f"{name.lower()}-x{scale}",
            lambda: Supervised(network(), log_error(power)),
            draw,
            Schedule(steps, rate),
            {"side": side},
            check,
        )

    def adversarial(name: str, start: Network, content: Loss, weight: float, relativistic: bool) -> None:
        width = pick(smoke=4, quick=16, full=64)
        found[name] = ctx.train(
            f"{name.lower()}-x{scale}",
            lambda: Adversarial(
                _again(start), SRDiscriminator(width), content, weight=weight, relativistic=relativistic
            ),
            draw,
            Schedule(pick(smoke=1, quick=70, full=50_000), pick(smoke=1e-4, quick=3e-4, full=1e-4)),
            {"start": digest(start), "features": digest(alike), "side": side},
            check,
        )

    width = pick(smoke=4, quick=64, full=64)
    for_psnr("SRCNN", lambda: SRCNN(scale, width), 2, pick(smoke=1, quick=250, full=50_000), 1e-3)
    residual = pick(smoke=(4, 1), quick=(24, 4), full=(64, 16))
    for_psnr("SRResNet", lambda: SRResNet(scale, *residual), 2, pick(smoke=1, quick=200, full=50_000), 1e-3)
    adversarial("SRGAN", found["SRResNet"], lambda output, small, large: alike(output, large), 1e-3, False)
    dense = pick(smoke=(4, 2, 1), quick=(24, 12, 2), full=(64, 32, 23))
    for_psnr(
        "RRDB",
        lambda: RRDB(scale, *dense),
        1,
        pick(smoke=1, quick=220, full=50_000),
        pick(smoke=1e-3, quick=2e-3, full=2e-4),
    )

    adversarial("ESRGAN", found["RRDB"], _esrgan_content(alike), 5e-3, True)
    return found


def _esrgan_content(alike: PerceptualLoss) -> Loss:
    def content(output: Tensor, small: Tensor, large: Tensor) -> Tensor:
        return alike(output, large) + 0.01 * (output - large).abs().mean()

    return content


def _again(network: Network) -> Network:
    return copy.deepcopy(network).requires_grad_(True)

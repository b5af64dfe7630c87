"""What the three modalities share: slices of subjects, the loss, the network's size, and a row of the table."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgerecon.quality.measures.full_reference import mse, psnr, ssim, vif
from edgerecon.study.context import Context
from edgerecon.study.results import MSE, PSNR, SSIM, VIF, Claim, Metric, Picture, Row, Table, measured, ordering
from edgerecon.study.scenes import in_parallel
from edgerecon.study.training import Draw, Schedule
from edgerecon.workshop.data.anatomy import Kind, subject
from edgerecon.workshop.models.residual_unet import Block, ResidualUNet
from edgerecon.workshop.train.ssim import SSIM as Similarity
from edgerecon.workshop.train.steps import Supervised

Slices = NDArray[Any]
"""(subjects, slices, H, W) in [0, 1]."""
METRICS = (MSE, PSNR, SSIM, VIF)
PAPER = {"psnr_db": 35.0, "ssim": 0.92}
_MEASURES: dict[str, Callable[[Any, Any], float]] = {"mse": mse, "psnr_db": psnr, "ssim": ssim, "vif": vif}


class ReconstructionLoss(nn.Module):
    """100·MSE + ½·(1 − SSIM) on N×1×H×W in [0, 1]: at 25 dB and SSIM 0.4 both weigh alike, later MSE less."""

    def __init__(self) -> None:
        super().__init__()
        self.similarity = Similarity()

    def forward(self, output: Tensor, source: Tensor, target: Tensor) -> Tensor:
        return 100 * (output - target).square().mean() + 0.5 * (1 - self.similarity(output, target).mean())


def side(ctx: Context) -> int:
    """Of a slice, in pixels."""
    return ctx.profile.pick(smoke=48, quick=128, full=256)


def batch_size(ctx: Context) -> int:
    """The number of slices in a batch, by the size of the study."""
    return ctx.profile.pick(smoke=2, quick=4, full=16)


def subjects(ctx: Context, kind: Kind, split: str, size: int | None = None) -> Slices:
    """Procedural subjects; no two splits share one. size: of a slice, default: ``side``."""
    size = size or side(ctx)
    count = {
        "train": ctx.profile.pick(smoke=3, quick=128, full=3000),
        "validation": ctx.profile.pick(smoke=2, quick=8, full=60),
        "test": ctx.profile.pick(smoke=2, quick=12, full=60),
    }
    slices = (
        ctx.profile.pick(smoke=1, quick=4, full=8) if split == "train" else ctx.profile.pick(smoke=1, quick=2, full=3)
    )
    name = f"{kind}-{split}"
    make = functools.partial(_one_subject, ctx.seed(name), kind, size, slices)
    inputs = {"subjects": count[split], "slices": slices, "size": size}
    images = ctx.data(name, inputs, lambda: {"images": np.stack(list(in_parallel(make, count[split])))})["images"]
    return images.astype(np.float32) / 255


def _one_subject(seed: int, kind: Kind, size: int, slices: int, index: int) -> NDArray[np.uint8]:
    drawn = subject(np.random.default_rng([seed, index]), kind, size, slices)
    return np.rint(drawn * 255).astype(np.uint8)


def network(ctx: Context, block: Block = "residual", attention: bool = False) -> ResidualUNet:
    """The U-Net at this profile's size: half resolution inside in quick, since full-size layers starve a CPU."""
    width, depth = ctx.profile.pick(smoke=4, quick=16, full=32), ctx.profile.pick(smoke=2, quick=3, full=4)
    return ResidualUNet(width, depth, block, attention, dropout=0.05, factor=ctx.profile.pick(smoke=2, quick=2, full=1))


def trained(
    ctx: Context,
    name: str,
    draw: Draw,
    facts: Mapping[str, Any],
    block: Block = "residual",
    attention: bool = False,
    check: Draw | None = None,
) -> Any:
    """A U-Net trained on what ``draw`` gives, and shipped as study-NAME. check: see ``Context.train``."""
    schedule = Schedule(
        ctx.profile.pick(smoke=3, quick=260, full=30000), ctx.profile.pick(smoke=2e-3, quick=3e-3, full=1e-3)
    )
    facts = {**facts, "block": block, "attention": attention, "side": side(ctx), "batch": batch_size(ctx)}
    found = ctx.train(
        name, lambda: Supervised(network(ctx, block, attention), ReconstructionLoss()), draw, schedule, facts, check
    )
    if ctx.profile.name != "smoke" or name == "ct-sparse":  # an export takes seconds, a smoke has few of them
        ctx.ship(found, f"study-{name}", "reconstruct", (side(ctx), side(ctx)))
    return found


@torch.no_grad()
def apply(net: nn.Module, images: Slices) -> Slices:
    """Run a network slice by slice, on the CPU, its output clipped to [0, 1] as every engine does."""
    flat = images.reshape(-1, 1, *images.shape[-2:]).astype(np.float32)
    found = [net(torch.from_numpy(image[None])).clamp(0, 1).numpy()[0, 0] for image in flat]
    return np.stack(found).reshape(images.shape)


def scores(images: Slices, targets: Slices) -> dict[str, list[float]]:
    """Metric → one mean a subject."""
    return {
        key: [
            float(np.mean([measure(a, b) for a, b in zip(x, y, strict=True)]))
            for x, y in zip(images, targets, strict=True)
        ]
        for key, measure in _MEASURES.items()
    }


def row(method: str, kind: Any, images: Slices, targets: Slices, note: str = "", paper: Any = None) -> Row:
    """A row of the report: the measures of images (n, H, W) against their targets, both in [0, 1]."""
    return Row(method, kind, measured(scores(images, targets)), paper or {}, note)


def tensors(inputs: list[Any], targets: list[Any]) -> tuple[Tensor, Tensor]:
    """(H, W) images → two batches N×1×H×W."""
    first, second = (torch.from_numpy(np.stack(part).astype(np.float32))[:, None] for part in (inputs, targets))
    return first, second


def picture(title: str, methods: Mapping[str, Slices], note: str = "") -> Picture:
    """The first test slice by every method."""
    panels = tuple((label, np.clip(images[0, 0], 0, 1)) for label, images in methods.items())
    return Picture(title, panels, note)


def claims(table: Table, best_first: tuple[str, ...], text: str, target: bool) -> list[Claim]:
    """The ordering by PSNR, and with ``target`` whether the first method reaches the paper's 35 dB and 0.92."""
    found = [ordering(table, best_first, PSNR, text)]
    if target:
        found += goals(table, best_first[0])
    return found


def goals(table: Table, method: str) -> list[Claim]:
    """35 dB and 0.92, the figures of the paper."""
    return [_reached(table, method, metric, PAPER[metric.key]) for metric in (PSNR, SSIM)]


def _reached(table: Table, method: str, metric: Metric, goal: float) -> Claim:
    """None when the goal lies inside the interval."""
    values = {row.method: row for row in table.rows}[method].values[metric.key]
    inside = values["low"] <= goal <= values["high"]
    shown = (
        f"{values['mean']:.{metric.digits}f} ({values['low']:.{metric.digits}f} to {values['high']:.{metric.digits}f})"
    )
    return Claim(
        f"{method}: {metric.label} at least {goal:g} ({table.title})",
        None if inside else values["mean"] >= goal,
        f"{metric.label} {shown}",
    )

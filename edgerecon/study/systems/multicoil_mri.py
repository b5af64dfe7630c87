"""Multi-coil MRI at 4× and 8×: zero-filled, TV, wavelets, SENSE, a U-Net with and without consistency, unrolled."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgerecon.quality.measures.full_reference import mse
from edgerecon.study import coils
from edgerecon.study import reconstruction as common
from edgerecon.study.coils import Condition, Scan, magnitude
from edgerecon.study.context import Context
from edgerecon.study.results import PSNR, Claim, Table, paired
from edgerecon.study.scenes import in_parallel
from edgerecon.study.training import Schedule
from edgerecon.workshop.data import multicoil
from edgerecon.workshop.data.mri import Mask
from edgerecon.workshop.models.unrolled_mri import UnrolledMRI
from edgerecon.workshop.train.steps import Supervised

TITLE = "Multi-coil MRI: U-Net, data consistency and an unrolled network"
PAPER = (
    "U-Net reconstruction from undersampled data (SSIM 0.92, PSNR 35 dB), on data as scanners give them: several coils "
    "whose sensitivities are estimated, complex images, textured anatomy; and the end-to-end variational network."
)
CONDITIONS = tuple(
    Condition(pattern, acceleration) for acceleration in (4, 8) for pattern in ("variable density", "equispaced")
)
ZERO_FILLED, UNET, CONSISTENT, UNROLLED = "zero-filled", "U-Net", "U-Net + data consistency", "unrolled network"
Method = Callable[..., Any]
TUNED: Mapping[str, tuple[Method, tuple[float, ...]]] = {
    "TV": (multicoil.total_variation, (3e-4, 1e-3, 2e-3, 4e-3)),
    "wavelets": (multicoil.wavelet, (3e-4, 1e-3, 2e-3, 4e-3)),
    "CG-SENSE": (multicoil.cg_sense, (1e-3, 3e-3, 1e-2, 3e-2)),
}
"""Method → how it reconstructs, and the weights of which the best on the validation set is taken."""
TUNED_ON = 4
AHEAD_DB = 2.0
"""The PSNR in dB by which the unrolled network is asked to exceed the U-Net."""


def run(ctx: Context) -> None:
    """Simulate, train, measure and report the system; its outcome is added to ``ctx.result``."""
    size = ctx.profile.pick(smoke=48, quick=256, full=256)
    train, validation, test = (common.subjects(ctx, "brain", split, size) for split in ("train", "validation", "test"))
    for condition in CONDITIONS[: 1 if ctx.profile.name == "smoke" else None]:
        labels = [f"multicoil-{condition.label}-{name}" for name in ("unet", "unrolled")]
        if all(map(ctx.has_time, labels)):
            _study(ctx, condition, labels, train, validation, test)
        else:
            ctx.result.notes.append(f"{condition.title}: not trained yet.")


def _study(
    ctx: Context,
    condition: Condition,
    labels: Sequence[str],
    train: common.Slices,
    validation: common.Slices,
    test: common.Slices,
) -> None:
    size = train.shape[-1]
    mask = condition.mask(ctx, size)
    unet, unrolled = _networks(ctx, condition, mask, labels, train, validation)
    weights = _tuned(ctx, condition, validation)
    measured = coils.scans(ctx, condition, test, f"test {condition.label}")
    found = _classical(ctx, condition, measured, mask, weights)
    raw = np.stack([coils.zero_filled(one, mask) for one in measured])
    seen = common.apply(unet, raw)
    found = {ZERO_FILLED: raw, **found, UNET: seen}
    found[CONSISTENT] = np.stack(
        [
            magnitude(multicoil.data_consistent(image, one.k_space, one.maps, mask))
            for image, one in zip(seen, measured, strict=True)
        ]
    )
    found[UNROLLED] = np.stack([_unrolled(unrolled, one) for one in measured])
    wanted = np.stack([one.target for one in measured])
    ctx.hold_out(f"study-{labels[0]}", raw, wanted)
    shaped = {name: images.reshape(test.shape) for name, images in found.items()}
    _report(ctx, condition, shaped, wanted.reshape(test.shape), weights)


def _networks(
    ctx: Context,
    condition: Condition,
    mask: Mask,
    labels: Sequence[str],
    train: common.Slices,
    validation: common.Slices,
) -> tuple[Any, Any]:
    slices = train.shape[0] * train.shape[1]
    facts = {"mask": np.flatnonzero(mask).tolist(), "noise": coils.NOISE, "slices": slices} | coils.GRAIN
    count = ctx.profile.pick(smoke=1, quick=2, full=16)
    draws = [
        functools.partial(coils.draw_magnitudes, coils.magnitudes(ctx, condition, part, name), count)
        for name, part in (("train", train), ("validation", validation))
    ]
    unet = common.trained(ctx, labels[0], draws[0], facts, check=draws[1])
    rows, width, cascades = ctx.profile.pick(smoke=(16, 4, 2), quick=(64, 24, 6), full=(128, 24, 6))
    kept = ctx.profile.pick(smoke=2, quick=256, full=4096)
    draws = [
        functools.partial(coils.draw_k_space, coils.kept_scans(ctx, condition, part, kept, name), mask, count, rows)
        for name, part in (("train", train), ("validation", validation))
    ]
    unrolled = ctx.train(
        labels[1],
        lambda: Supervised(UnrolledMRI(torch.from_numpy(mask), cascades, width), common.ReconstructionLoss()),
        draws[0],
        Schedule(ctx.profile.pick(smoke=2, quick=150, full=30_000), 1e-3),
        {**facts, "rows": rows, "scans": kept},
        check=draws[1],
    )
    return unet, unrolled


@torch.no_grad()
def _unrolled(network: Any, one: Scan) -> NDArray[np.float32]:
    given = torch.from_numpy(np.stack([one.k_space, one.maps]))[None]
    return np.asarray(network(given).clamp(0, 1).numpy()[0, 0], np.float32)


def _tuned(ctx: Context, condition: Condition, validation: common.Slices) -> dict[str, float]:
    """Method → the weight that comes closest on validation slices (MSE)."""
    mask, iterations = condition.mask(ctx, validation.shape[-1]), _iterations(ctx)
    facts: dict[str, Any] = {name: list(weights) for name, (_, weights) in TUNED.items()} | {"shape": validation.shape}
    facts |= coils.GRAIN

    def made() -> dict[str, NDArray[Any]]:
        few = coils.scans(ctx, condition, validation[:TUNED_ON, :1], f"tuning {condition.label}")
        best = {}
        for name, (method, weights) in TUNED.items():
            errors = [
                np.mean(
                    [mse(magnitude(method(one.k_space, one.maps, mask, weight, iterations)), one.target) for one in few]
                )
                for weight in weights
            ]
            best[name] = np.array(weights[int(np.argmin(errors))])
        return best

    found = ctx.data(f"{condition.label}-tuned", facts, made)
    return {name: float(weight) for name, weight in found.items()}


def _iterations(ctx: Context) -> int:
    return ctx.profile.pick(smoke=2, quick=40, full=80)


def _classical(
    ctx: Context, condition: Condition, measured: Sequence[Scan], mask: Mask, weights: Mapping[str, float]
) -> dict[str, NDArray[Any]]:
    make = functools.partial(_by_every_method, measured, mask, weights, _iterations(ctx))
    inputs = {"weights": dict(weights), "slices": len(measured), "size": len(mask), **coils.GRAIN}
    images = ctx.data(
        f"{condition.label}-classical", inputs, lambda: {"images": np.stack(list(in_parallel(make, len(measured))))}
    )["images"]
    return {name: images[:, index] for index, name in enumerate(TUNED)}


def _by_every_method(
    measured: Sequence[Scan], mask: Mask, weights: Mapping[str, float], iterations: int, index: int
) -> NDArray[np.float32]:
    one = measured[index]
    return np.stack(
        [
            magnitude(method(one.k_space, one.maps, mask, weights[name], iterations))
            for name, (method, _) in TUNED.items()
        ]
    )


def _report(
    ctx: Context, condition: Condition, found: Mapping[str, common.Slices], truth: common.Slices, weights: Any
) -> None:
    """Adds the table, a picture and the claims."""
    rows = []
    for name, images in found.items():
        note = f"weight {weights[name]:g}, the best on validation slices" if name in weights else ""
        kind = "classical" if name in (ZERO_FILLED, *TUNED) else "trained"
        rows.append(common.row(name, kind, images, truth, note, common.PAPER if name == UNET else None))
    subjects, slices, size, _ = truth.shape
    data = (
        f"{subjects} procedural brains of {slices} slices with texture, {size}×{size} pixels, {coils.COILS} coils "
        f"whose sensitivities are estimated from the middle {condition.middle(size)} lines, noise {coils.NOISE:g} of "
        "the greatest display value"
    )
    table = Table(condition.title, common.METRICS, tuple(rows), data)
    ctx.result.tables.append(table)
    ctx.result.pictures.append(common.picture(condition.title, {"truth": truth, **found}))
    if condition != CONDITIONS[0]:
        return
    best = max(TUNED, key=lambda name: table.mean(name, PSNR.key))
    ctx.result.claims += common.goals(table, UNET)
    by_subject = {name: common.scores(images, truth)[PSNR.key] for name, images in found.items()}
    ctx.result.claims += [
        _ahead(f"U-Net over the best classical method ({condition.title})", by_subject, UNET, best, 0.0),
        _ahead(
            f"Unrolled network {AHEAD_DB:g} dB over the U-Net ({condition.title})",
            by_subject,
            UNROLLED,
            UNET,
            AHEAD_DB,
        ),
    ]


def _ahead(text: str, by_subject: Mapping[str, list[float]], better: str, other: str, least: float) -> Claim:
    gain = paired(by_subject[better], by_subject[other])
    holds = None if gain["low"] <= least <= gain["high"] else gain["mean"] > least
    shown = f"{gain['mean']:+.2f} dB ({gain['low']:+.2f} to {gain['high']:+.2f})"
    return Claim(text, holds, f"{PSNR.label}, {better} less {other}, subject by subject: {shown}")

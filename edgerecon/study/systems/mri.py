"""MRI of a brain at a quarter of the lines: zero-filled, TV compressed sensing, U-Net; four sampling patterns."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgerecon.quality.measures.full_reference import mse
from edgerecon.study import reconstruction as common
from edgerecon.study.context import Context
from edgerecon.study.results import PSNR, Claim, Table, paired
from edgerecon.study.scenes import in_parallel
from edgerecon.study.systems.sampling import LearnedSampling, greedy_mask, random_mask, strongest, variable_density_mask
from edgerecon.study.training import Schedule
from edgerecon.workshop.data.geometry_augment import random_affine
from edgerecon.workshop.data.mri import Mask, compressed_sensing, data_consistent, measure, zero_filled
from edgerecon.workshop.data.real_slices import MR_FILES, real_slices
from edgerecon.workshop.train.steps import Batch, Supervised

ACCELERATION = 4
NOISE = 0.01
WEIGHTS = (1e-3, 3e-3, 6e-3, 1.2e-2)
TUNED_ON = 4
MAIN = "variable density"
PATTERNS = ("random", MAIN, "greedy", "learned")
METHODS = ("zero-filled", "TV", "U-Net", "U-Net + data consistency")


def run(ctx: Context) -> None:
    """Networks that a long study has had no time for are left out, and with one of them the patterns' comparison."""
    if not ctx.has_time(_label(MAIN)):
        return
    train, test = (common.subjects(ctx, "brain", split) for split in ("train", "test"))
    fitted = {name: _fitted(ctx, name, mask, train) for name, mask in masks(ctx, train).items()}
    found = {name: _reconstructed(ctx, f"{name}-test", fit, test) for name, fit in fitted.items()}
    for name, images in found.items():
        ctx.hold_out(f"study-{_label(name)}", images[METHODS[0]], test)
    data = (
        f"{len(test)} procedural brains of {test.shape[1]} slices, {test.shape[-1]}×{test.shape[-1]} pixels; a "
        f"quarter of the lines of k-space, noise {NOISE:g} of the greatest display value"
    )
    table = _shown(ctx, f"MRI at {ACCELERATION}×, {MAIN} sampling", found[MAIN], test, data)
    text = "U-Net over total-variation compressed sensing over zero-filled"
    ctx.result.claims += common.claims(table, METHODS[2::-1], text, target=True)
    if len(found) > 1:
        _compare_sampling(ctx, found, test, data)
    real = real_slices(MR_FILES, common.side(ctx))[:, None]
    _shown(
        ctx,
        f"A real MRI slice at {ACCELERATION}×",
        _reconstructed(ctx, "real", fitted[MAIN], real),
        real,
        "1 real slice of an abdomen (a file of pydicom), another anatomy than trained on",
    )


def _shown(ctx: Context, title: str, found: dict[str, common.Slices], truth: common.Slices, data: str) -> Table:
    paper = {METHODS[2]: common.PAPER}
    rows = tuple(
        common.row(method, "trained" if "U-Net" in method else "classical", images, truth, paper=paper.get(method))
        for method, images in found.items()
    )
    table = Table(title, common.METRICS, rows, data)
    ctx.result.tables.append(table)
    ctx.result.pictures.append(common.picture(title, {"truth": truth, **found}))
    return table


def masks(ctx: Context, train: common.Slices) -> dict[str, Mask]:
    """Four ways to choose size / 4 lines; one, where a long study has no time for the others' networks."""
    size = train.shape[-1]
    lines = size // ACCELERATION
    main = {MAIN: variable_density_mask(size, lines, ctx.rng(MAIN))}
    if not all(map(ctx.has_time, ("mri-sampling", *(_label(name) for name in PATTERNS)))):
        return main
    flat = train.reshape(-1, size, size)
    return {
        "random": random_mask(size, lines, ctx.rng("random")),
        **main,
        "greedy": greedy_mask(flat, lines),
        "learned": _learned(ctx, flat, lines),
    }


def _learned(ctx: Context, images: NDArray[Any], lines: int) -> Mask:
    """The lines that LOUPE finds most worth measuring; its own network is then dropped."""
    size, kept = images.shape[-1], _held_out(ctx)
    schedule = Schedule(ctx.profile.pick(smoke=3, quick=200, full=10000), 3e-3)
    found = ctx.train(
        "mri-sampling",
        lambda: Supervised(LearnedSampling(common.network(ctx), size, lines), common.ReconstructionLoss()),
        functools.partial(_draw_k_space, images, common.batch_size(ctx)),
        schedule,
        {"slices": len(images), "size": size, "noise": NOISE},
        None if kept is None else functools.partial(_draw_k_space, kept, common.batch_size(ctx)),
    )
    return strongest(found.probabilities().numpy(), lines)


def _draw_k_space(images: NDArray[Any], count: int, rng: np.random.Generator) -> Batch:
    targets = [random_affine((images[i],), rng)[0] for i in rng.integers(len(images), size=count)]
    whole = np.stack([measure(image, np.ones(len(image), bool), NOISE, rng) for image in targets])
    k_space = np.stack([whole.real, whole.imag], axis=1).astype(np.float32)
    return torch.from_numpy(k_space), common.tensors(targets, targets)[1]


def draw_images(images: NDArray[Any], mask: Mask, count: int, rng: np.random.Generator) -> Batch:
    """A batch: slices turned, moved, scaled and mirrored, then measured anew."""
    targets = [random_affine((images[i],), rng)[0] for i in rng.integers(len(images), size=count)]
    return common.tensors([zero_filled(measure(image, mask, NOISE, rng)) for image in targets], targets)


@dataclass(frozen=True)
class _Fit:
    """What was found on the training slices for one mask: the weight of TV, and the U-Net."""

    mask: Mask
    weight: float
    network: Any


def _fitted(ctx: Context, name: str, mask: Mask, train: common.Slices) -> _Fit:
    label = _label(name)
    facts = {"mask": np.flatnonzero(mask).tolist(), "noise": NOISE, "slices": list(train.shape)}
    tuned = ctx.data(f"{label}-tuned", facts, lambda: {"weight": np.array(_tuned(ctx, label, train, mask))})
    draw = functools.partial(draw_images, train.reshape(-1, *train.shape[-2:]), mask, common.batch_size(ctx))
    kept = _held_out(ctx)
    check = None if kept is None else functools.partial(draw_images, kept, mask, common.batch_size(ctx))
    return _Fit(mask, float(tuned["weight"]), common.trained(ctx, label, draw, facts, check=check))


def _held_out(ctx: Context) -> NDArray[Any] | None:
    """Slices by which a long study judges its networks; None in other profiles."""
    return common.subjects(ctx, "brain", "validation").reshape(-1, *[common.side(ctx)] * 2) if ctx.turns else None


def _label(name: str) -> str:
    """Of a mask's network, as its files call it."""
    return f"mri-{name.split()[0]}"


def _reconstructed(ctx: Context, name: str, fit: _Fit, test: common.Slices) -> dict[str, common.Slices]:
    """Test slices by every method."""
    flat = test.reshape(-1, *test.shape[-2:])
    k_space = np.stack([_measured(ctx, f"{name}-{i}", image, fit.mask) for i, image in enumerate(flat)])
    sensing = functools.partial(_sensed, k_space, fit.mask, fit.weight, _iterations(ctx))
    facts = {"mask": np.flatnonzero(fit.mask).tolist(), "noise": NOISE, "weight": fit.weight, "shape": test.shape}
    tv = ctx.data(f"{name}-tv", facts, lambda: {"images": np.stack(list(in_parallel(sensing, len(flat))))})["images"]
    raw = np.stack([zero_filled(y) for y in k_space])
    seen = common.apply(fit.network, raw)
    consistent = np.stack([data_consistent(image, y, fit.mask) for image, y in zip(seen, k_space, strict=True)])
    return {
        method: images.reshape(test.shape) for method, images in zip(METHODS, (raw, tv, seen, consistent), strict=True)
    }


def _measured(ctx: Context, name: str, image: NDArray[Any], mask: Mask) -> NDArray[np.complex128]:
    return measure(image, mask, NOISE, ctx.rng(name))


def _iterations(ctx: Context) -> int:
    return ctx.profile.pick(smoke=3, quick=50, full=100)


def _sensed(k_space: NDArray[Any], mask: Mask, weight: float, iterations: int, index: int) -> NDArray[np.float32]:
    return compressed_sensing(k_space[index], mask, weight, iterations)


def _tuned(ctx: Context, label: str, train: common.Slices, mask: Mask) -> float:
    """The weight of TV that comes closest on training slices (MSE)."""
    few = train[:TUNED_ON, 0]
    k_space = [_measured(ctx, f"{label}-tune-{i}", image, mask) for i, image in enumerate(few)]
    errors = [
        np.mean(
            [
                mse(compressed_sensing(y, mask, weight, _iterations(ctx)), image)
                for y, image in zip(k_space, few, strict=True)
            ]
        )
        for weight in WEIGHTS
    ]
    return WEIGHTS[int(np.argmin(errors))]


def _compare_sampling(ctx: Context, found: dict[str, dict[str, common.Slices]], test: common.Slices, data: str) -> None:
    """Adaptive against fixed patterns at the same rate, each with a U-Net of its own."""
    rows = tuple(
        common.row(f"{name}, {method}", kind, images[method], test)
        for name, images in found.items()
        for method, kind in (("TV", "classical"), ("U-Net", "trained"))
    )
    title = f"Adaptive undersampling: MRI at {ACCELERATION}× by the pattern of the lines"
    table = Table(title, common.METRICS, rows, data)
    ctx.result.tables.append(table)
    panels = {"truth": test, **{name: images["U-Net"] for name, images in found.items()}}
    ctx.result.pictures.append(common.picture("U-Net by sampling pattern", panels))
    by_subject = {name: common.scores(images["U-Net"], test)["psnr_db"] for name, images in found.items()}
    for adaptive in ("greedy", "learned"):
        for fixed in ("random", MAIN):
            gain = paired(by_subject[adaptive], by_subject[fixed])
            holds = None if gain["low"] <= 0 <= gain["high"] else gain["mean"] > 0
            shown = f"{gain['mean']:+.2f} dB ({gain['low']:+.2f} to {gain['high']:+.2f})"
            ctx.result.claims.append(
                Claim(
                    f"{adaptive} sampling over {fixed} sampling, U-Net at the same rate",
                    holds,
                    f"{PSNR.label}, subject by subject: {shown}",
                )
            )

"""The multi-coil MRI task: textured slices, coils drawn anew for every one of them, and batches for both networks."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgerecon.study import reconstruction as common
from edgerecon.study.context import Arrays, Context
from edgerecon.study.scenes import in_parallel
from edgerecon.study.systems.sampling import equispaced_mask, variable_density_mask
from edgerecon.workshop.data import multicoil
from edgerecon.workshop.data.geometry_augment import random_affine
from edgerecon.workshop.data.mri import Mask, with_phase
from edgerecon.workshop.data.texture import textured
from edgerecon.workshop.train.steps import Batch

COILS, NOISE = 8, 0.005
GRAIN = {"strength": 0.12, "slope": 1.0}
"""The grain of the tissue, see ``textured``: as fine as in natural images, since total variation restores coarser grain
well."""
MIDDLE = 0.32
"""Share of the measured lines that lie in the middle, without a gap: 8 % of all at 4×, as fastMRI has it, 4 % at 8×."""


@dataclass(frozen=True)
class Condition:
    """pattern: of the lines. acceleration: one line in so many is measured."""

    pattern: str
    acceleration: int

    @property
    def title(self) -> str:
        """The heading of the condition in the report."""
        return f"Multi-coil MRI at {self.acceleration}×, {self.pattern} sampling"

    @property
    def label(self) -> str:
        """As files call it."""
        return f"{self.pattern.split()[0]}-{self.acceleration}x"

    def middle(self, size: int) -> int:
        """Lines of the middle."""
        return 2 * max(1, round(MIDDLE / self.acceleration * size / 2))

    def mask(self, ctx: Context, size: int) -> Mask:
        """One for all slices, so that a scanner could have it."""
        lines, middle = size // self.acceleration, MIDDLE / self.acceleration
        if self.pattern == "equispaced":
            return equispaced_mask(size, lines, middle)
        return variable_density_mask(size, lines, ctx.rng(self.label), middle)


@dataclass(frozen=True)
class Scan:
    """One slice as it was measured: k-space and estimated maps (coils, H, W), and the magnitude that is wanted."""

    k_space: multicoil.Complex
    maps: multicoil.Complex
    target: NDArray[np.float32]


def scan(anatomy: NDArray[Any], mask: Mask, middle: int, rng: np.random.Generator) -> Scan:
    """A slice (H, W) in [0, 1] given texture, phase and coils, then measured."""
    target = textured(anatomy, rng=rng, **GRAIN)
    maps = multicoil.coil_maps(len(anatomy), COILS, rng)
    k_space = multicoil.measure(with_phase(target, rng), maps, mask, NOISE, rng)
    return Scan(k_space, multicoil.estimated_maps(k_space, middle), target)


def scans(ctx: Context, condition: Condition, images: common.Slices, name: str) -> list[Scan]:
    """Those of a test or validation set, always the same."""
    size = images.shape[-1]
    mask, middle = condition.mask(ctx, size), condition.middle(size)
    flat = images.reshape(-1, size, size)
    return [scan(image, mask, middle, ctx.rng(f"{name} {index}")) for index, image in enumerate(flat)]


def magnitudes(ctx: Context, condition: Condition, images: common.Slices, name: str) -> Arrays:
    """ "given", zero-filled, and "wanted", float16 (N, H, W): one scan of every slice, made once.

    A scan takes as long as a step of the U-Net.
    """
    size = images.shape[-1]
    flat = images.reshape(-1, size, size)
    make = functools.partial(
        _magnitudes, ctx.seed(f"{name} {condition.label}"), flat, condition.mask(ctx, size), condition.middle(size)
    )
    inputs = {"shape": flat.shape, "noise": NOISE, **GRAIN}

    def made() -> Arrays:
        given, wanted = (np.stack(part) for part in zip(*in_parallel(make, len(flat)), strict=True))
        return {"given": given, "wanted": wanted}

    return ctx.data(f"{condition.label}-{name}-magnitudes", inputs, made)


def _magnitudes(
    seed: int, images: NDArray[Any], mask: Mask, middle: int, index: int
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    one = scan(images[index], mask, middle, np.random.default_rng([seed, index]))
    return zero_filled(one, mask).astype(np.float16), one.target.astype(np.float16)


def zero_filled(one: Scan, mask: Mask) -> NDArray[np.float32]:
    """The magnitude of what the coils saw, lines that were not measured being zero."""
    return magnitude(multicoil.adjoint(one.k_space, one.maps, mask))


def draw_magnitudes(scanned: Arrays, count: int, rng: np.random.Generator) -> Batch:
    """What ``magnitudes`` made, N×1×H×W, half of it upside down: rows are problems of their own, columns are not."""
    ways = [
        (int(index), int(step))
        for index, step in zip(
            rng.integers(len(scanned["given"]), size=count), rng.choice((-1, 1), size=count), strict=True
        )
    ]
    return common.tensors(*([scanned[key][index][::step] for index, step in ways] for key in ("given", "wanted")))


def kept_scans(ctx: Context, condition: Condition, images: common.Slices, count: int, name: str) -> Arrays:
    """The first ``count`` slices, each turned, moved, scaled and scanned once: "k_space" complex64 (N, C, H, lines),
    its measured columns; "maps" float16 (N, 2, C, H, W), real and imaginary part; "wanted" float16 (N, H, W).

    Two scans take as long as a step of the unrolled network.
    """
    size = images.shape[-1]
    flat = images.reshape(-1, size, size)[:count]
    make = functools.partial(
        _kept_scan, ctx.seed(f"{name} {condition.label}"), flat, condition.mask(ctx, size), condition.middle(size)
    )
    inputs = {"shape": flat.shape, "noise": NOISE, **GRAIN}

    def made() -> Arrays:
        found = zip(*in_parallel(make, len(flat)), strict=True)
        return dict(zip(("k_space", "maps", "wanted"), map(np.stack, found), strict=True))

    return ctx.data(f"{condition.label}-{name}-scans", inputs, made)


def _kept_scan(
    seed: int, images: NDArray[Any], mask: Mask, middle: int, index: int
) -> tuple[multicoil.Complex, NDArray[np.float16], NDArray[np.float16]]:
    rng = np.random.default_rng([seed, index])
    one = scan(random_affine((images[index],), rng)[0], mask, middle, rng)
    maps = np.stack([one.maps.real, one.maps.imag]).astype(np.float16)
    return one.k_space[..., mask], maps, one.target.astype(np.float16)


def draw_k_space(scanned: Arrays, mask: Mask, count: int, rows: int, rng: np.random.Generator) -> Batch:
    """Bands of what ``kept_scans`` made, half of them upside down: k-space with maps, complex N×2×C×rows×W, and what is
    wanted, N×1×rows×W. Rows are problems of their own."""
    size = len(mask)
    given, wanted = [], []
    for index in rng.integers(len(scanned["wanted"]), size=count):
        top, step = int(rng.integers(size - rows + 1)), int(rng.choice((-1, 1)))
        band = slice(top, top + rows)
        real, imaginary = (part[:, band][:, ::step].astype(np.float32) for part in scanned["maps"][index])
        k_space = np.zeros((COILS, rows, size), np.complex64)
        k_space[..., mask] = scanned["k_space"][index][:, band][:, ::step]
        given.append(np.stack([k_space, real + 1j * imaginary]))
        wanted.append(scanned["wanted"][index][band][::step].astype(np.float32))
    return torch.from_numpy(np.stack(given).astype(np.complex64)), torch.from_numpy(np.stack(wanted))[:, None]


def magnitude(image: NDArray[Any]) -> NDArray[np.float32]:
    """|x|, clipped to [0, 1]."""
    return np.clip(np.abs(image), 0, 1).astype(np.float32)

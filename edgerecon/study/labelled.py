"""Scenes with a known answer for the study, and the training of a network that gives it."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from edgerecon.study.context import Arrays, Context
from edgerecon.study.scenes import in_parallel
from edgerecon.study.training import Draw
from edgerecon.workshop.data.lesions import CLASSES, Labelled, labelled_sample
from edgerecon.workshop.models.densenet import DenseNet

AT_ONCE = 32


def labelled(ctx: Context, name: str, scenes: int, size: int, looks: int = 1) -> Arrays:
    """Scenes that no other name shares, the classes in turn.

    Returns:
        "label" (scenes,), "speckled" and "clean", uint8 (scenes, looks, size, size), "radius" float16 (scenes, size,
        size) and "contrast_db" (scenes,): see ``Labelled``.
    """
    inputs = {"scenes": scenes, "size": size, "looks": looks, "seed": ctx.seed(name)}
    return ctx.data(name, inputs, lambda: _simulate(ctx, name, scenes, size, looks))


def _simulate(ctx: Context, name: str, scenes: int, size: int, looks: int) -> Arrays:
    made: list[Labelled] = []
    for sample in in_parallel(functools.partial(labelled_scene, ctx.seed(name), size=size, looks=looks), scenes):
        made.append(sample)
        ctx.progress(f"{ctx.result.name}: simulating {name}", len(made), scenes)
    fields = ("label", "speckled", "clean", "radius", "contrast_db")
    return {field: np.stack([getattr(sample, field) for sample in made]) for field in fields}


def labelled_scene(seed: int, index: int, *, size: int, looks: int) -> Labelled:
    """Scene ``index`` of a seed."""
    return labelled_sample(np.random.default_rng([seed, index]), index % len(CLASSES), size, looks)


def classifier_batches(images: NDArray[np.uint8], labels: NDArray[Any], batch: int) -> Draw:
    """Random looks of random scenes, (N, 1, H, W) in [0, 1], half of them mirrored left to right; and their labels.

    Args:
        images: (scenes, looks, H, W). Nothing is turned upside down: what lies behind a cyst is brighter.
    """

    def draw(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        scene = rng.integers(len(images), size=batch)
        chosen = images[scene, rng.integers(images.shape[1], size=batch)]
        mirrored = rng.random(batch) < 0.5
        chosen[mirrored] = chosen[mirrored, :, ::-1]
        return torch.from_numpy(chosen[:, None] / np.float32(255)), torch.from_numpy(labels[scene].astype(np.int64))

    return draw


def cross_entropy(probabilities: Tensor, images: Tensor, labels: Tensor) -> Tensor:
    """Of N×1×1×K probabilities."""
    return F.nll_loss(probabilities[:, 0, 0].clamp_min(1e-7).log(), labels)


def probabilities(network: DenseNet, images: NDArray[np.floating]) -> NDArray[np.float32]:
    """(N, H, W) in [0, 1] → (N, classes)."""
    found = []
    with torch.inference_mode():
        for part in np.array_split(images.astype(np.float32), max(1, len(images) // AT_ONCE)):
            found.append(network(torch.from_numpy(part)[:, None])[:, 0, 0].numpy())
    return np.concatenate(found)

"""Simulated ultrasound for the study: many scenes, made on all cores, kept in the system's folder."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edgerecon.hardware.host import usable_cores
from edgerecon.study.context import Arrays, Context
from edgerecon.workshop.data.processes import worker_pool
from edgerecon.workshop.data.simulate.fast import fast_sample

HELD_OUT = 16
Made = TypeVar("Made")
Sample = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def ultrasound(ctx: Context, name: str, scenes: int, size: int = 128, frames: int = 1) -> Arrays:
    """Scenes that no other name shares, so that a split is by scene.

    Returns:
        "speckled" and "clean", uint8 (scenes, frames, size, size), 255 being 1.0: see ``fast_sample``.
    """
    inputs = {"scenes": scenes, "size": size, "frames": frames, "seed": ctx.seed(name)}
    return ctx.data(name, inputs, lambda: _simulate(ctx, name, scenes, size, frames))


def held_out(ctx: Context, size: int, frames: int = 1) -> Arrays | None:
    """Scenes by which a long study judges its networks: none learns from them or is tested on them. None elsewhere."""
    return ultrasound(ctx, "held out", HELD_OUT, size, frames) if ctx.turns else None


def _simulate(ctx: Context, name: str, scenes: int, size: int, frames: int) -> Arrays:
    sample = functools.partial(one_scene, ctx.seed(name), size=size, frames=frames)
    made: list[Sample] = []
    for pair in in_parallel(sample, scenes):
        made.append(pair)
        ctx.progress(f"{ctx.result.name}: simulating {name}", len(made), scenes)
    return {"speckled": np.stack([pair[0] for pair in made]), "clean": np.stack([pair[1] for pair in made])}


def one_scene(seed: int, index: int, *, size: int, frames: int) -> Sample:
    """Scene ``index`` of a seed; see ``fast_sample``."""
    return fast_sample(np.random.default_rng([seed, index]), size, frames)


def in_parallel(sample: Callable[[int], Made], count: int) -> Iterator[Made]:
    """``sample(0) … sample(count − 1)`` in order, on all cores; ``sample`` must be importable (no lambda)."""
    cores = usable_cores()
    if count < 8 or cores < 2:
        yield from map(sample, range(count))
        return
    with worker_pool(cores) as pool:
        yield from pool.map(sample, range(count), chunksize=4)

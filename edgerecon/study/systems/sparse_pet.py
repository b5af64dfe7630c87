"""Sparse PET: a U-Net on filtered back-projections, against maximum likelihood at its best number of iterations."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.quality.measures.full_reference import mse
from edgerecon.study import reconstruction as common
from edgerecon.study.context import Arrays, Context
from edgerecon.study.results import Table
from edgerecon.study.scenes import in_parallel
from edgerecon.study.systems.ct import draw_pairs
from edgerecon.workshop.data import pet
from edgerecon.workshop.data.ct import FILTERS, Filter
from edgerecon.workshop.data.fine_ct import FINER, coarse
from edgerecon.workshop.data.texture import textured

TITLE = "Sparse PET with Poisson noise"
PAPER = "U-Net reconstruction of other modalities, which the U-Net paper names as its future work: PET from few events."
NAME = "Sparse PET"
SCAN = pet.Scan(views=60, events=3e5, background=0.3)
TEXTURE = 0.1
FBP, ML, UNET = "FBP", "maximum likelihood", "U-Net"
ITERATIONS = (4, 8, 12, 16, 24, 36)
TUNED_ON = 6
NETWORK = "sparse-pet"
Reconstruct = Callable[[pet.Sinogram], NDArray[np.float32]]


def run(ctx: Context) -> None:
    """Simulate, train, measure and report the system; its outcome is added to ``ctx.result``."""
    if not ctx.has_time(NETWORK):
        ctx.result.notes.append(f"{NAME}: not trained yet.")
        return
    sets = {name: _scans(ctx, name) for name in ("train", "validation", "test")}
    filter_name, iterations = _tuned(ctx, sets["validation"])
    shown = {name: _by(part, functools.partial(_fbp, filter_name)) for name, part in sets.items()}
    draws = [
        functools.partial(draw_pairs, shown[name], sets[name]["slices"], common.batch_size(ctx))
        for name in ("train", "validation")
    ]
    facts = {"scan": [SCAN.views, SCAN.events, SCAN.background], "filter": filter_name, "texture": TEXTURE}
    net = common.trained(ctx, NETWORK, draws[0], facts, check=draws[1])
    test = sets["test"]["slices"]
    found = {
        FBP: shown["test"],
        ML: _by(sets["test"], functools.partial(pet.maximum_likelihood, iterations=iterations)),
        UNET: common.apply(net, shown["test"]),
    }
    ctx.hold_out(f"study-{NETWORK}", shown["test"], test)
    notes = {
        FBP: f"{filter_name} filter, the best on validation slices",
        ML: f"{iterations} iterations, the best on validation slices",
        UNET: f"sees the FBP; {net.count_parameters()} parameters",
    }
    _report(ctx, found, test, notes)


def _scans(ctx: Context, name: str) -> Arrays:
    """ "slices" (N, size, size) that are wanted, their "counts" (N, size, views), "gain" and "background" (N,)."""
    fine = common.subjects(ctx, "brain", name, FINER * common.side(ctx))
    fine = fine.reshape(-1, *fine.shape[-2:])
    inputs = {"scan": [SCAN.views, SCAN.events, SCAN.background], "texture": TEXTURE, "shape": fine.shape}
    make = functools.partial(_scan, ctx.seed(name), fine)

    def made() -> Arrays:
        found = list(in_parallel(make, len(fine)))
        return {key: np.stack([one[key] for one in found]) for key in found[0]}

    return ctx.data(name, inputs, made)


def _scan(seed: int, images: NDArray[Any], index: int) -> Arrays:
    rng = np.random.default_rng([seed, index])
    fine = textured(images[index], TEXTURE, rng)
    found = pet.measure(fine, SCAN, rng)
    facts = {"gain": np.array(found.gain), "background": np.array(found.background)}
    return {"slices": coarse(fine), "counts": found.counts.astype(np.float32), **facts}


def _sinograms(part: Arrays) -> list[pet.Sinogram]:
    rows = zip(part["counts"], part["gain"], part["background"], strict=True)
    return [pet.Sinogram(counts.astype(np.float64), float(gain), float(b)) for counts, gain, b in rows]


def _by(part: Arrays, method: Reconstruct) -> NDArray[np.float32]:
    return np.stack([method(one) for one in _sinograms(part)])


def _fbp(filter_name: Filter, found: pet.Sinogram) -> NDArray[np.float32]:
    return pet.filtered_back_projection(found, filter_name)


def _tuned(ctx: Context, validation: Arrays) -> tuple[Filter, int]:
    """The filter, and the number of iterations, that come closest on validation slices (MSE)."""
    few = {name: values[:TUNED_ON] for name, values in validation.items()}

    def best(methods: list[Reconstruct]) -> int:
        errors = [np.mean([mse(a, b) for a, b in zip(_by(few, one), few["slices"], strict=True)]) for one in methods]
        return int(np.argmin(errors))

    counts = ctx.profile.pick(smoke=ITERATIONS[:2], quick=ITERATIONS, full=ITERATIONS)
    filter_name = FILTERS[best([functools.partial(_fbp, name) for name in FILTERS])]
    return filter_name, counts[best([functools.partial(pet.maximum_likelihood, iterations=n) for n in counts])]


def _report(ctx: Context, found: dict[str, Any], test: NDArray[np.float32], notes: dict[str, str]) -> None:
    """Adds the table by subject, a picture and the claim."""
    slices = ctx.profile.pick(smoke=1, quick=2, full=3)
    truth = test.reshape(-1, slices, *test.shape[1:])
    shown = {name: images.reshape(truth.shape) for name, images in found.items()}
    kinds = {FBP: "classical", ML: "classical", UNET: "trained"}
    rows = tuple(common.row(name, kinds[name], images, truth, notes[name]) for name, images in shown.items())
    data = (
        f"{len(truth)} procedural brains of {slices} slices, {test.shape[-1]}×{test.shape[-1]} pixels, measured on a "
        f"finer grid; {SCAN.events:g} events a slice in {SCAN.views} views, {SCAN.background:.0%} scatter and randoms"
    )
    table = Table(NAME, common.METRICS, rows, data)
    ctx.result.tables.append(table)
    ctx.result.pictures.append(common.picture(NAME, {"truth": truth, **shown}))
    text = f"U-Net over maximum likelihood over FBP ({NAME})"
    ctx.result.claims += common.claims(table, (UNET, ML, FBP), text, target=False)

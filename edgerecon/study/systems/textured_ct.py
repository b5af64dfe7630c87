"""CT of a textured chest from 60 views, simulated on a finer grid: FBP, SART and total variation against U-Nets."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.quality.measures.full_reference import mse
from edgerecon.study import reconstruction as common
from edgerecon.study.context import Context
from edgerecon.study.results import Table
from edgerecon.study.scenes import in_parallel
from edgerecon.study.systems.ct import SPARSE, draw_pairs
from edgerecon.workshop.data.anatomy import subject
from edgerecon.workshop.data.ct import FILTERS, Filter, filtered_back_projection, total_variation
from edgerecon.workshop.data.fine_ct import FINER, coarse, measure, sart
from edgerecon.workshop.data.texture import textured

TITLE = "CT of textured anatomy, simulated on a finer grid"
PAPER = (
    "U-Net over total variation over filtered back-projection at 60 views (SSIM 0.92, PSNR 35 dB), where no method "
    "knows the operator that made the data and no tissue is flat."
)
NAME = "Textured CT from 60 views"
TEXTURE = 0.12
UNET, ATTENTION = "U-Net, residual", "U-Net, attention"
FBP, SART, TV = "FBP", "SART", "TV"
WEIGHTS = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3)
RELAXATIONS = (0.05, 0.15, 0.4)
TUNED_ON = 4
Arrays = dict[str, NDArray[Any]]
Reconstruct = functools.partial[NDArray[np.float32]]
"""Of a sinogram; a partial, whose name and arguments tell what it made from what another makes."""


def run(ctx: Context) -> None:
    """Simulate, train, measure and report the system; its outcome is added to ``ctx.result``."""
    labels = {UNET: "textured-ct", ATTENTION: "textured-ct-attention"}
    if not ctx.has_time(labels[UNET]):
        ctx.result.notes.append(f"{NAME}: not trained yet.")
        return
    sets = {name: _scans(ctx, name) for name in ("train", "validation", "test")}
    filter_name, classical, notes = _tuned(ctx, sets["validation"])
    shown = {name: _by(ctx, f"{name}-fbp", part["sinograms"], classical[FBP]) for name, part in sets.items()}
    draws = [
        functools.partial(draw_pairs, shown[name], sets[name]["slices"], ctx.profile.pick(smoke=2, quick=2, full=16))
        for name in ("train", "validation")
    ]
    facts = {"views": SPARSE.views, "photons": SPARSE.photons, "filter": filter_name, "texture": TEXTURE}
    facts["slices"] = len(shown["train"])
    test = sets["test"]["slices"].astype(np.float32)
    found: dict[str, np.ndarray] = {FBP: shown["test"].astype(np.float32)}
    found |= {name: _by(ctx, f"test-{name}", sets["test"]["sinograms"], classical[name]) for name in (SART, TV)}
    for name, label in labels.items():
        if name == UNET or ctx.has_time(label):  # the data may have taken what was left of the budget
            gated = name == ATTENTION
            net = common.trained(ctx, label, draws[0], facts, attention=gated, check=draws[1])
            notes[name] = f"{net.count_parameters()} parameters"
            found[name] = common.apply(net, found[FBP])
            ctx.hold_out(f"study-{label}", found[FBP], test)
    _report(ctx, found, test, notes)


def _size(ctx: Context) -> int:
    return ctx.profile.pick(smoke=48, quick=256, full=256)


def _scans(ctx: Context, name: str) -> Arrays:
    """ "slices" (N, size, size) that are wanted, and their noisy "sinograms" (N, size, views), as float16."""
    pick = ctx.profile.pick
    subjects = {"train": pick(smoke=3, quick=64, full=3000), "validation": pick(smoke=2, quick=8, full=60)}
    count, slices = subjects.get(name, pick(smoke=2, quick=12, full=60)), pick(smoke=1, quick=4, full=8)
    slices = slices if name == "train" else min(slices, 2)
    make = functools.partial(_one_subject, ctx.seed(name), _size(ctx), slices)

    def made() -> Arrays:
        found = []
        for pair in in_parallel(make, count):
            found.append(pair)
            ctx.progress(f"{ctx.result.name}: scanning {name}", len(found), count)
        return {key: np.concatenate([pair[key] for pair in found]) for key in ("slices", "sinograms")}

    inputs = {"subjects": count, "slices": slices, "size": _size(ctx), "texture": TEXTURE, "photons": SPARSE.photons}
    return ctx.data(name, inputs, made)


def _one_subject(seed: int, size: int, slices: int, index: int) -> Arrays:
    rng = np.random.default_rng([seed, index])
    fine = [textured(image, TEXTURE, rng) for image in subject(rng, "chest", FINER * size, slices)]
    sinograms = np.stack([measure(image, SPARSE, rng) for image in fine])
    return {
        "slices": np.stack([coarse(image) for image in fine]).astype(np.float16),
        "sinograms": sinograms.astype(np.float32),
    }


def _by(ctx: Context, name: str, sinograms: NDArray[Any], method: Reconstruct) -> NDArray[np.float16]:
    """Slices by a classical method, made once."""
    make = functools.partial(_reconstructed, sinograms, method)
    inputs = {"method": method.func.__name__, **method.keywords, "shape": sinograms.shape}
    return ctx.data(
        name, inputs, lambda: {"images": np.stack(list(in_parallel(make, len(sinograms)))).astype(np.float16)}
    )["images"]


def _reconstructed(sinograms: NDArray[Any], method: Reconstruct, index: int) -> NDArray[np.float32]:
    return method(sinograms[index])


def _tv(sinogram: NDArray[Any], filter_name: Filter, weight: float, iterations: int) -> NDArray[np.float32]:
    return total_variation(sinogram, filtered_back_projection(sinogram, filter_name), weight, iterations)


def _tuned(ctx: Context, validation: Arrays) -> tuple[Filter, dict[str, Reconstruct], dict[str, str]]:
    """The filter, every classical method at what comes closest on validation slices (MSE), and what that is."""
    iterations = ctx.profile.pick(smoke=2, quick=60, full=100)

    def made() -> Arrays:
        few = list(zip(validation["sinograms"][:TUNED_ON], validation["slices"][:TUNED_ON], strict=True))

        def best(methods: list[Reconstruct]) -> NDArray[Any]:
            errors = [np.mean([mse(method(y), image.astype(np.float32)) for y, image in few]) for method in methods]
            return np.array(np.argmin(errors))

        chosen = best([functools.partial(filtered_back_projection, filter_name=name) for name in FILTERS])
        name = FILTERS[int(chosen)]
        tv = [functools.partial(_tv, filter_name=name, weight=w, iterations=iterations) for w in WEIGHTS]
        return {
            FBP: chosen,
            SART: best([functools.partial(sart, relaxation=value) for value in RELAXATIONS]),
            TV: best(list(tv)),
        }

    facts = {"weights": WEIGHTS, "relaxations": RELAXATIONS, "shape": validation["slices"].shape}
    found = {name: int(index) for name, index in ctx.data("tuned", facts, made).items()}
    name, weight, relaxation = FILTERS[found[FBP]], WEIGHTS[found[TV]], RELAXATIONS[found[SART]]
    methods: dict[str, Reconstruct] = {
        FBP: functools.partial(filtered_back_projection, filter_name=name),
        SART: functools.partial(sart, relaxation=relaxation),
        TV: functools.partial(_tv, filter_name=name, weight=weight, iterations=iterations),
    }
    notes = {FBP: f"{name} filter", SART: f"relaxation {relaxation:g}", TV: f"weight {weight:g}"}
    return name, methods, {method: f"{note}, the best on validation slices" for method, note in notes.items()}


def _report(ctx: Context, found: Mapping[str, Any], test: NDArray[np.float32], notes: Mapping[str, str]) -> None:
    """Adds the table by subject, a picture and the claims."""
    slices = ctx.profile.pick(smoke=1, quick=2, full=2)
    truth, *outputs = (
        np.asarray(images, np.float32).reshape(-1, slices, *test.shape[1:]) for images in (test, *found.values())
    )
    shown = dict(zip(found, outputs, strict=True))
    rows = []
    for name, images in shown.items():
        kind = "trained" if name in (UNET, ATTENTION) else "classical"
        rows.append(common.row(name, kind, images, truth, notes[name], common.PAPER if name == UNET else None))
    data = (
        f"{len(truth)} procedural chests of {slices} slices with texture, measured on a grid {FINER} times as fine as "
        f"their {test.shape[-1]}×{test.shape[-1]} pixels; {SPARSE.views} views, {SPARSE.photons:g} photons a ray"
    )
    table = Table(NAME, common.METRICS, tuple(rows), data)
    ctx.result.tables.append(table)
    ctx.result.pictures.append(common.picture(NAME, {"truth": truth, **shown}))
    text = f"U-Net over tuned total variation over FBP ({NAME})"
    ctx.result.claims += common.claims(table, (UNET, TV, FBP), text, target=True)

"""CT of a chest from 60 views, and at a low dose: filtered back-projection, total variation, and five U-Nets."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.quality.measures.full_reference import mse
from edgerecon.study import reconstruction as common
from edgerecon.study.context import Context
from edgerecon.study.results import Table
from edgerecon.study.scenes import in_parallel
from edgerecon.workshop.data.ct import FILTERS, Filter, Scan, filtered_back_projection, measure, total_variation
from edgerecon.workshop.data.geometry_augment import random_affine
from edgerecon.workshop.data.real_slices import CT_FILES, real_slices
from edgerecon.workshop.models.residual_unet import Block
from edgerecon.workshop.train.steps import Batch

SPARSE, LOW_DOSE = Scan(60, 5e4), Scan(180, 2.5e3)
WEIGHTS = (3e-5, 1e-4, 3e-4, 1e-3, 2e-3)
TUNED_ON = 4
VARIANTS: dict[str, tuple[Block, bool]] = {
    "U-Net, plain": ("plain", False),
    "U-Net, separable": ("separable", False),
    "U-Net, dilated": ("dilated", False),
    "U-Net, attention": ("residual", True),
}
UNET = "U-Net, residual"
MAIN = "ct-sparse"
"""The network that the claims are about."""


def run(ctx: Context) -> None:
    """Networks that a long study has had no time for are left out."""
    if ctx.has_time(MAIN):
        _study(ctx, MAIN, "CT from 60 views", SPARSE, VARIANTS, target=True)
    if ctx.has_time("ct-low-dose"):
        _study(ctx, "ct-low-dose", "Low-dose CT, 180 views", LOW_DOSE, {}, target=False)
    ctx.result.notes.append(
        "CT data are simulated on the grid on which they are reconstructed, with photon noise. This favours total "
        "variation, which knows the exact operator, over networks, which see the filtered back-projection alone."
    )


def _study(
    ctx: Context, name: str, title: str, scan: Scan, variants: dict[str, tuple[Block, bool]], *, target: bool
) -> None:
    train, test = (common.subjects(ctx, "chest", split) for split in ("train", "test"))
    filter_name, weight = tune(ctx, name, train, scan)
    seen = _pairs(ctx, f"{name}-train", train, scan, filter_name, ctx.profile.pick(smoke=1, quick=1, full=2))
    facts = {"scan": [scan.views, scan.photons], "filter": filter_name, "slices": len(seen["targets"])}
    draw = functools.partial(draw_pairs, seen["inputs"], seen["targets"], common.batch_size(ctx))
    check = None
    if ctx.turns:
        kept = _pairs(ctx, f"{name}-held-out", common.subjects(ctx, "chest", "validation"), scan, filter_name, 1)
        check = functools.partial(draw_pairs, kept["inputs"], kept["targets"], common.batch_size(ctx))
    methods = _classical(ctx, name, test, scan, filter_name, weight)
    networks = {UNET: common.trained(ctx, name, draw, facts, check=check)}
    for method, (block, gated) in variants.items():
        label = f"{name}-{method.split()[-1]}"
        if not ctx.has_time(label):
            continue
        networks[method] = common.trained(ctx, label, draw, facts, block, gated, check)
        ctx.hold_out(f"study-{label}", methods["FBP"], test)
    ctx.hold_out(f"study-{name}", methods["FBP"], test)
    outputs = {method: common.apply(net, methods["FBP"]) for method, net in networks.items()}
    notes = {
        "FBP": f"{filter_name} filter, the best of {len(FILTERS)} on training slices",
        "TV": f"weight {weight:g}, the best of {len(WEIGHTS)} on training slices",
    }
    rows = [common.row(method, "classical", images, test, notes[method]) for method, images in methods.items()]
    for method, net in networks.items():
        paper = common.PAPER if method == UNET else None
        cost = f"{net.count_parameters()} parameters, {net.macs_per_pixel():.0f} multiply-accumulates a pixel"
        rows.append(common.row(method, "trained", outputs[method], test, cost, paper))
    data = (
        f"{len(test)} procedural chests of {test.shape[1]} slices, {test.shape[-1]}×{test.shape[-1]} pixels; "
        f"{scan.views} views, {scan.photons:g} photons a ray; the U-Net sees the FBP"
    )
    table = Table(title, common.METRICS, tuple(rows), data)
    ctx.result.tables.append(table)
    ctx.result.pictures.append(common.picture(title, {"truth": test, **methods, **outputs}))
    ctx.result.claims += common.claims(
        table, (UNET, "TV", "FBP"), f"U-Net over total variation over FBP ({title})", target
    )
    if target:
        _real(ctx, scan, filter_name, weight, networks[UNET])


def _real(ctx: Context, scan: Scan, filter_name: Filter, weight: float, net: Any) -> None:
    """The same on real slices: another anatomy, another scanner, never trained on."""
    images = real_slices(CT_FILES, common.side(ctx))
    both = functools.partial(_fbp_and_tv, ctx.seed("real"), images, scan, filter_name, weight, _iterations(ctx))
    found = np.stack([both(index) for index in range(len(images))])
    truth, fbp, tv = images[:, None], found[:, :1], found[:, 1:]
    methods = {"FBP": fbp, "TV": tv, UNET: common.apply(net, fbp)}
    rows = tuple(
        common.row(name, "trained" if name == UNET else "classical", shown, truth) for name, shown in methods.items()
    )
    title = f"Real CT slices from {scan.views} views"
    data = f"{len(images)} real slices (pydicom's files: a spine and two heads), measured by simulation"
    ctx.result.tables.append(Table(title, common.METRICS, rows, data))
    ctx.result.pictures.append(common.picture(title, {"truth": truth, **methods}))


def tune(ctx: Context, name: str, train: common.Slices, scan: Scan) -> tuple[Filter, float]:
    """The filter and the weight of TV that come closest on training slices (MSE)."""
    found = ctx.data(
        f"{name}-tuned",
        {"scan": [scan.views, scan.photons], "weights": WEIGHTS, "size": train.shape},
        lambda: _tuned(ctx, name, train[:TUNED_ON, 0], scan),
    )
    return FILTERS[int(found["filter"])], float(found["weight"])


def _tuned(ctx: Context, name: str, few: NDArray[Any], scan: Scan) -> dict[str, NDArray[Any]]:
    measured = [measure(image, scan, ctx.rng(f"{name}-{index}")) for index, image in enumerate(few)]

    def error(method: Any) -> float:
        return float(np.mean([mse(method(y), image) for y, image in zip(measured, few, strict=True)]))

    filters = [error(functools.partial(filtered_back_projection, filter_name=name)) for name in FILTERS]
    best = FILTERS[int(np.argmin(filters))]
    weights = [error(functools.partial(_tv, best, weight=w, iterations=_iterations(ctx))) for w in WEIGHTS]
    return {"filter": np.array(np.argmin(filters)), "weight": np.array(WEIGHTS[int(np.argmin(weights))])}


def _iterations(ctx: Context) -> int:
    return ctx.profile.pick(smoke=3, quick=50, full=100)


def _tv(filter_name: Filter, sinogram: NDArray[Any], weight: float, iterations: int) -> NDArray[np.float32]:
    return total_variation(sinogram, filtered_back_projection(sinogram, filter_name), weight, iterations)


def _pairs(ctx: Context, name: str, images: common.Slices, scan: Scan, filter_name: Filter, copies: int) -> Any:
    """Slices turned, moved and scaled, then scanned: (N, H, W) "inputs" and "targets" as float16."""
    flat = images.reshape(-1, *images.shape[-2:])
    make = functools.partial(_pair, ctx.seed(name), flat, scan, filter_name)
    inputs = {"scan": [scan.views, scan.photons], "filter": filter_name, "copies": copies, "shape": images.shape}

    def made() -> dict[str, NDArray[Any]]:
        found = np.stack(list(in_parallel(make, copies * len(flat)))).astype(np.float16)
        return {"inputs": found[:, 0], "targets": found[:, 1]}

    return ctx.data(name, inputs, made)


def _pair(seed: int, images: NDArray[Any], scan: Scan, filter_name: Filter, index: int) -> NDArray[np.float32]:
    rng = np.random.default_rng([seed, index])
    (image,) = random_affine((images[index % len(images)],), rng)
    image = image * inside_circle(len(image))
    return np.stack([filtered_back_projection(measure(image, scan, rng), filter_name), image])


def inside_circle(size: int) -> NDArray[np.float32]:
    """1 where the scanner sees."""
    away = np.arange(size) - size // 2
    return (np.hypot(*np.meshgrid(away, away)) < size // 2).astype(np.float32)


def draw_pairs(inputs: NDArray[Any], targets: NDArray[Any], count: int, rng: np.random.Generator) -> Batch:
    """A batch; each pair in one of the eight ways of the square, all of which leave the set of views as it is."""
    picked = rng.integers(len(inputs), size=count)
    ways = [
        (int(turns), bool(flip))
        for turns, flip in zip(rng.integers(4, size=count), rng.integers(2, size=count), strict=True)
    ]
    return common.tensors(
        *([_seen(part[i], way) for i, way in zip(picked, ways, strict=True)] for part in (inputs, targets))
    )


def _seen(image: NDArray[Any], way: tuple[int, bool]) -> NDArray[Any]:
    turned = np.rot90(image, way[0])
    return turned[:, ::-1] if way[1] else turned


def _classical(
    ctx: Context, name: str, test: common.Slices, scan: Scan, filter_name: Filter, weight: float
) -> dict[str, common.Slices]:
    flat = test.reshape(-1, *test.shape[-2:])
    both = functools.partial(_fbp_and_tv, ctx.seed(f"{name}-test"), flat, scan, filter_name, weight, _iterations(ctx))
    inputs = {"scan": [scan.views, scan.photons], "filter": filter_name, "weight": weight, "shape": test.shape}
    found = ctx.data(f"{name}-test", inputs, lambda: {"images": np.stack(list(in_parallel(both, len(flat))))})["images"]
    return {method: found[:, at].reshape(test.shape) for at, method in enumerate(("FBP", "TV"))}


def _fbp_and_tv(
    seed: int, images: NDArray[Any], scan: Scan, filter_name: Filter, weight: float, iterations: int, index: int
) -> NDArray[np.float32]:
    y = measure(images[index], scan, np.random.default_rng([seed, index]))
    return np.stack([filtered_back_projection(y, filter_name), _tv(filter_name, y, weight, iterations)])

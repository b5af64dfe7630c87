"""Recurrent networks against single frames: noise removed, missing data filled in, on sequences."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgerecon.core.errors import SourceError
from edgerecon.core.frame import to_unit
from edgerecon.quality.measures.full_reference import mse, psnr, ssim
from edgerecon.study.context import Context
from edgerecon.study.reasons import PAPER_DB
from edgerecon.study.results import MSE, PSNR, SSIM, Claim, Metric, Picture, Row, Table, measured, ordering, paired
from edgerecon.study.scenes import held_out, ultrasound
from edgerecon.study.sequence_task import Frames, degrade, draw_from
from edgerecon.study.svm import fit_svr
from edgerecon.study.training import Draw, Schedule
from edgerecon.workshop.models.compact import Compact
from edgerecon.workshop.models.conv_rnn import ConvRnn
from edgerecon.workshop.models.hybrid import Hybrid
from edgerecon.workshop.models.network import Network
from edgerecon.workshop.models.row_rnn import RowRnn
from edgerecon.workshop.models.temporal import Temporal
from edgerecon.workshop.train.ssim import SSIM as Similarity
from edgerecon.workshop.train.steps import Supervised

TITLE = "RNN-ReLU and its relatives: denoising and missing data in sequences"
PAPER = (
    "RNN-ReLU, h_t = ReLU(W_x x_t + W_h h_{t−1} + b), for ultrasound denoising and missing data, against SVM and CNN."
)
FRAMES = 8
INPUT, TRUTH, SVM, CNN = "input", "truth", "SVM", "CNN"
ROWS, CONV = "RNN-ReLU over rows", "RNN-ReLU over frames"
PAPER_PSNR = Metric("psnr_255_db", "PSNR, paper's convention, dB", "higher", 2)
IN_GAPS = Metric("mse_missing", "MSE where data is missing", "lower", 5)
ELSEWHERE = Metric("mse_seen", "MSE elsewhere", "lower", 5)
METRICS = (MSE, PSNR, SSIM, PAPER_PSNR, IN_GAPS, ELSEWHERE)
PAPER_FIGURES: Mapping[str, dict[str, float]] = {
    SVM: {"mse": 0.029, "psnr_255_db": 63.51, "ssim": 0.794},
    CNN: {"mse": 0.018, "psnr_255_db": 65.58, "ssim": 0.846},
    ROWS: {"mse": 0.006, "psnr_255_db": 70.35, "ssim": 0.925},
    CONV: {"mse": 0.006, "psnr_255_db": 70.35, "ssim": 0.925},
}
Restore = Callable[[Frames], Frames]
Scores = dict[str, list[float]]


@dataclass(frozen=True)
class Plan:
    """A network: its method's name, its file's, how it is made, and how it learns; steps: in the quick profile."""

    method: str
    file: str
    make: Callable[[], Network]
    steps: int
    rate: float


@dataclass(frozen=True)
class Sequence:
    """One test scene: frames as given and as they were, (T, H, W) in [0, 1], and where data is missing."""

    given: Frames
    truth: Frames
    missing: NDArray[np.bool_]


def plans(ctx: Context) -> list[Plan]:
    """The networks; those over frames and the CNN take the same multiply-accumulates a pixel, within 5 %."""
    width = ctx.profile.pick(smoke=4, quick=32, full=64)
    return [
        Plan(CNN, "cnn", partial(Compact, width, 6), 350, 4e-3),
        Plan(ROWS, "row-rnn", partial(RowRnn, 2 * width), 350, 4e-3),
        Plan("LSTM over rows", "row-lstm", partial(RowRnn, width * 3 // 2, "lstm"), 300, 6e-3),
        Plan(CONV, "conv-rnn", partial(ConvRnn, width, 2), 300, 4e-3),
        Plan("ConvLSTM over frames", "conv-lstm", partial(ConvRnn, width * 9 // 16, 2, "lstm"), 200, 1e-2),
        Plan("CNN-RNN hybrid", "hybrid", partial(Hybrid, width), 280, 4e-3),
    ]


def run(ctx: Context) -> None:
    """See ``TITLE``. Networks that a long study has had no time for are left out."""
    reached = [plan for plan in plans(ctx) if ctx.has_time(plan.file)]
    if not {CNN, ROWS, CONV} <= {plan.method for plan in reached}:
        ctx.result.notes.append("Sequences: not trained yet.")
        return
    size = ctx.profile.pick(smoke=48, quick=128, full=256)
    scenes = ctx.profile.pick(smoke=2, quick=120, full=2000)
    training = ultrasound(ctx, "train", scenes, size, FRAMES)["speckled"]
    test = damaged_sequences(ctx, "test", ctx.profile.pick(smoke=2, quick=24, full=100), size, FRAMES)
    methods: dict[str, Restore] = {INPUT: lambda frames: frames, SVM: _svm(ctx, training)}
    networks = {plan.method: _trained(ctx, plan, training) for plan in reached}
    methods |= {method: partial(restore, network) for method, network in networks.items()}
    for plan in reached:
        ctx.ship(networks[plan.method], f"study-{plan.file}", "restore", (size, size))
        ctx.hold_out(f"study-{plan.file}", *(np.stack([getattr(case, x) for case in test]) for x in ("given", "truth")))
    scores = {method: _scores(ctx, method, run, test) for method, run in methods.items()}
    data = f"{len(test)} scenes of {FRAMES} frames that no method has seen, {size}×{size} pixels; {_task()}"
    ctx.result.tables.append(_table("Denoising and missing data, all frames of a sequence", scores, data))
    ctx.result.pictures.append(_picture(methods, test[0]))
    _long_streams(ctx, {name: methods[name] for name, net in networks.items() if isinstance(net, Temporal)}, methods)
    if ctx.recordings:
        _real(ctx, methods, size)
    _claims(ctx, scores)


def restore(network: Network, frames: Frames) -> Frames:
    """A sequence (T, H, W) by a network: with carried state, or each frame by itself."""
    given = torch.from_numpy(frames)
    with torch.inference_mode():
        found = network(given[None])[0] if isinstance(network, Temporal) else network(given[:, None])[:, 0]
    return np.asarray(found.clamp(0, 1).numpy())


def _task() -> str:
    return (
        "noise of 1 to 4 % of the grey scale is added, then 12 % of the scan lines and some four rectangles of 8 to 24 "
        "pixels in 128×128 are set to 0, others in every frame. The target is the frame as it was, speckle and all."
    )


def damaged_sequences(ctx: Context, name: str, scenes: int, size: int, frames: int) -> list[Sequence]:
    """Simulated scenes that no other name shares, damaged: always the same ones."""
    rng = ctx.rng(f"{name} damage")
    found = []
    for images in ultrasound(ctx, name, scenes, size, frames)["speckled"]:
        truth = images.astype(np.float32) / 255
        given, missing = degrade(truth, rng)
        found.append(Sequence(given, truth, missing))
    return found


def _svm(ctx: Context, training: NDArray[np.uint8]) -> Restore:
    count = ctx.profile.pick(smoke=100, quick=3000, full=20000)
    ctx.progress(f"{ctx.result.name}: fitting {SVM}", 0, 1)
    fitted = fit_svr(draw_from(training, 4, 2, min(64, training.shape[2])), count, ctx.rng(SVM))
    ctx.result.notes.append(
        f"{SVM}: regression of a pixel from its 7×7 patch on {count} patches of training scenes, of which "
        f"{len(fitted.support)} are support vectors; C = {fitted.cost:g}, γ = {fitted.gamma:.3g}."
    )
    return fitted


def _trained(ctx: Context, plan: Plan, training: NDArray[np.uint8]) -> Network:
    """Batches of equally many frames for all: sequences for the networks over frames, single ones for the others."""
    crop = ctx.profile.pick(smoke=32, quick=64, full=96)
    batch = ctx.profile.pick(smoke=2, quick=4, full=16)
    steps = ctx.profile.pick(smoke=3, quick=plan.steps, full=60_000)
    rate = ctx.profile.pick(smoke=1e-3, quick=plan.rate, full=1e-3)
    sequences = issubclass(plan.make.func, Temporal)  # type: ignore[attr-defined]
    kept = held_out(ctx, training.shape[-1], FRAMES)
    draw, check = (
        draw_from(frames, batch, FRAMES, crop) if sequences else _single(frames, batch * FRAMES, crop)
        for frames in (training, training if kept is None else kept["speckled"])
    )
    facts = {
        "scenes": len(training),
        "crop": crop,
        "batch": batch,
        "task": _task(),
        "plan": [plan.method, repr(plan.make)],
    }
    network: Network = ctx.train(
        plan.file, lambda: Supervised(plan.make(), Loss()), draw, Schedule(steps, rate), facts, check
    )
    return network


def _single(training: NDArray[np.uint8], count: int, crop: int) -> Draw:
    return draw_from(training, count, 1, crop)


class Loss(torch.nn.Module):
    """20·MSE + (1 − SSIM) over all frames N×T×H×W: the two figures that the paper reports, about equal in weight."""

    def __init__(self) -> None:
        super().__init__()
        self.similarity = Similarity()

    def forward(self, output: Tensor, *batch: Tensor) -> Tensor:
        a, b = (frames.flatten(0, 1)[:, None] for frames in (output, batch[1]))
        return 20 * ((a - b) ** 2).mean() + 1 - self.similarity(a, b).mean()


def _scores(ctx: Context, method: str, run: Restore, test: list[Sequence]) -> Scores:
    """One value a scene of every metric, the mean over its frames."""
    scores: Scores = {metric.key: [] for metric in METRICS}
    for done, case in enumerate(test):
        ctx.progress(f"{ctx.result.name}: measuring {method}", done, len(test))
        found = run(case.given)
        pairs = list(zip(found, case.truth, strict=True))
        error = (found - case.truth) ** 2
        decibels = float(np.mean([psnr(*pair) for pair in pairs]))
        values = (
            np.mean([mse(*pair) for pair in pairs]),
            decibels,
            np.mean([ssim(*pair) for pair in pairs]),
            decibels + 20 * math.log10(255),
            error[case.missing].mean(),
            error[~case.missing].mean(),
        )
        for metric, value in zip(METRICS, values, strict=True):
            scores[metric.key].append(float(value))
    return scores


def _table(title: str, scores: Mapping[str, Scores], data: str) -> Table:
    rows = []
    for method, values in scores.items():
        kind = {INPUT: "reference", SVM: "classical"}.get(method, "trained")
        rows.append(Row(method, kind, measured(values), PAPER_FIGURES.get(method, {})))  # type: ignore[arg-type]
    return Table(title, METRICS, tuple(rows), data)


def _picture(methods: Mapping[str, Restore], case: Sequence) -> Picture:
    panels = [(method, run(case.given)[-1]) for method, run in methods.items()]
    return Picture(
        f"Frame {len(case.truth)} of a test sequence",
        (*panels, (TRUTH, case.truth[-1])),
        "Black lines and rectangles of the input are missing data; networks over frames have seen what lies there "
        "before.",
    )


def _long_streams(ctx: Context, temporal: Mapping[str, Restore], methods: Mapping[str, Restore]) -> None:
    """Adds a table: what the state brings with every frame, and that it does not run away on longer streams."""
    length = ctx.profile.pick(smoke=10, quick=48, full=240)
    size = ctx.profile.pick(smoke=48, quick=128, full=256)
    scenes = damaged_sequences(ctx, "long", ctx.profile.pick(smoke=2, quick=8, full=32), size, length)
    places = [n for n in (1, 2, 4, 8, 16, 48, 240) if n <= length]
    metrics = tuple(Metric(f"mse_{n}", f"MSE, frame {n}", "lower", 5) for n in places)
    similarity = Metric(f"ssim_{length}", f"SSIM, frame {length}")
    rows = []
    for method, run in {CNN: methods[CNN], **temporal}.items():
        found = [run(case.given) for case in scenes]
        values = {
            metric.key: [mse(each[n - 1], case.truth[n - 1]) for each, case in zip(found, scenes, strict=True)]
            for metric, n in zip(metrics, places, strict=True)
        }
        values[similarity.key] = [ssim(each[-1], case.truth[-1]) for each, case in zip(found, scenes, strict=True)]
        rows.append(Row(method, "trained", measured(values)))
    data = (
        f"{len(scenes)} scenes of {length} frames, the state carried from the first to the last; trained on {FRAMES}."
    )
    ctx.result.tables.append(
        Table("What the carried state brings, frame by frame", (*metrics, similarity), tuple(rows), data)
    )


def _real(ctx: Context, methods: Mapping[str, Restore], size: int) -> None:
    """Adds a table on real cines, damaged in the same way; nothing was trained or tuned on them."""
    cases = []
    rng = ctx.rng("real damage")
    for truth in _cines(ctx, size):
        given, missing = degrade(truth, rng)
        cases.append(Sequence(given, truth, missing))
    if not cases:
        ctx.result.notes.append(f"No recording has {FRAMES} frames of {size}×{size} pixels: real sequences left out.")
        return
    scores = {method: _scores(ctx, f"{method}, real", run, cases) for method, run in methods.items()}
    data = f"The first {FRAMES} frames of {len(cases)} real recordings, the middle {size}×{size} pixels; {_task()}"
    table = _table("The same on real recordings", scores, data)
    rows = tuple(Row(row.method, row.kind, row.values) for row in table.rows)
    ctx.result.tables.append(Table(table.title, table.metrics, rows, table.data))


def _cines(ctx: Context, size: int) -> list[Frames]:
    from edgerecon.stream.sources import open_source

    assert ctx.recordings is not None
    found = []
    for path in sorted(p for p in ctx.recordings.rglob("*") if p.is_file() and not p.name.startswith(".")):
        try:
            with closing(open_source(str(path))) as source:
                images = [to_unit(c.image) for c in islice(source.frames(), FRAMES) if c.image is not None]
        except (SourceError, ValueError):
            continue
        if len(images) == FRAMES and len({i.shape for i in images}) == 1 and min(images[0].shape) >= size:
            top, left = ((side - size) // 2 for side in images[0].shape)
            found.append(np.stack(images)[:, top : top + size, left : left + size].astype(np.float32))
    return found


def _last_step(ctx: Context) -> int:
    """The last step of the convolutional network; 0 where the budget of a long study ended before that."""
    curve = next(ctx.result.curves[plan.file] for plan in plans(ctx) if plan.method == CONV)
    return curve[-1][0] if curve else 0


def _reasons(ctx: Context, table: Table) -> None:
    """Says why, where ours come out otherwise than the paper's."""
    macs = {model.name: model.macs_per_pixel for model in ctx.result.models}
    if table.mean(ROWS, "mse") >= table.mean(CNN, "mse"):
        ctx.result.notes.append(
            f"{ROWS} stays behind the CNN here: what is missing are scan lines, along which this recurrence runs, so "
            "that a gap has to be filled from the sides, where it sees 24 columns; and it takes "
            f"{macs['study-row-rnn']:.0f} multiply-accumulates a pixel, the CNN {macs['study-cnn']:.0f}. Recurrence "
            "pays over frames, where the state holds what the gaps hide."
        )
    if table.mean(CONV, "ssim") < 0.925:
        long = ctx.result.tables[1]
        first, last = long.metrics[0].key, long.metrics[-1].key
        ctx.result.notes.append(
            f"SSIM of {CONV} is a mean over all frames, the first of which has no state to draw on (MSE there "
            f"{long.mean(CONV, first):.5f}); {long.metrics[-1].label} of a longer stream: {long.mean(CONV, last):.3f}. "
            f"The target is speckle, of which every grain counts, and training stops after {_last_step(ctx)} steps."
        )


def _claims(ctx: Context, scores: Mapping[str, Scores]) -> None:
    table = ctx.result.tables[0]
    _reasons(ctx, table)
    for form in (CONV, ROWS):
        ctx.result.claims.append(ordering(table, (form, CNN, SVM), MSE, f"{form} is better than CNN, CNN than SVM"))
    for metric, limit in ((MSE, 0.006), (SSIM, 0.925)):
        figure = table.mean(CONV, metric.key)
        reached = figure <= limit if metric is MSE else figure >= limit
        sign = "≤" if metric is MSE else "≥"
        ctx.result.claims.append(
            Claim(
                f"RNN-ReLU reaches {metric.label} {sign} {limit}",
                reached,
                f"{CONV}: {figure:.{metric.digits}f}; {ROWS}: {table.mean(ROWS, metric.key):.{metric.digits}f}",
            )
        )
    decibels = table.mean(CONV, PSNR.key)
    ctx.result.claims.append(
        Claim(
            f"RNN-ReLU reaches a PSNR of {PAPER_DB} dB",
            decibels >= PAPER_DB,
            f"{CONV}: {decibels:.2f} dB with a range of 1, {table.mean(CONV, PAPER_PSNR.key):.2f} dB by the paper's "
            "convention",
        )
    )
    gain = paired(scores[CONV][IN_GAPS.key], scores[CNN][IN_GAPS.key])
    holds = None if gain["low"] <= 0 <= gain["high"] or math.isnan(gain["low"]) else gain["mean"] < 0
    ctx.result.claims.append(
        Claim(
            "Carried state fills in missing data better than a single frame",
            holds,
            f"MSE where data is missing, {CONV} less {CNN}: {gain['mean']:.5f} [{gain['low']:.5f}, "
            f"{gain['high']:.5f}] by scene",
        )
    )
    ctx.result.notes.append(
        "The paper's PSNR is 10·log10(255²/MSE) with an MSE on [0, 1], 48.13 dB above the consistent figure with a "
        "range of 1; both are shown. Its data and its damage are not published: only the ordering compares directly."
    )

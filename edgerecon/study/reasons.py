"""Why a claim of a paper cannot hold: arithmetic, or a consequence of other figures of the same run.

Each function reads figures of the systems that have run and returns one sentence, or None where those figures say
otherwise or are missing (nan, which no comparison bears out). None excuses a network that was trained too little.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from edgerecon.study.results import LEAST_DB, PSNR, SSIM, Result

Results = Mapping[str, Result]
"""Name of a system → what it found."""
Reason = Callable[[Results], str | None]
RECURRENT_TABLE = "Denoising and missing data, all frames of a sequence"
MRI_TABLE = "MRI at 4×, variable density sampling"
COILS_TABLE = "Multi-coil MRI at 4×, variable density sampling"
CT_TABLES = ("CT from 60 views", "Low-dose CT, 180 views")
TEXTURED_TABLE = "Textured CT from 60 views"
DETECTION_TABLE = "Does reconstruction help detection? (DenseNet-201)"
PAPER_DB, MRI_GOAL_DB, MRI_GOAL_SSIM = 70.35, 35.0, 0.92
SCALE_DB = 20 * math.log10(255)
"""What a PSNR gains when 255² is divided by an error that was taken on [0, 1]."""


def another_scale(results: Results) -> str | None:
    """The PSNR of the RNN paper counts 255² over an error on [0, 1]."""
    reached = _figure(results, RECURRENT_TABLE, "RNN-ReLU over frames", PSNR.key)
    if not reached < PAPER_DB:
        return None
    return (
        f"The paper divides 255² by an error on [0, 1], which adds 20·log10(255) = {SCALE_DB:.2f} dB: its "
        f"{PAPER_DB} dB are {PAPER_DB - SCALE_DB:.2f} dB with a range of 1, where {reached:.2f} dB are reached here."
    )


def runs_along_the_gaps(results: Results) -> str | None:
    """Rows lose to the CNN where whole scan lines are missing."""
    rows, cnn = (_figure(results, RECURRENT_TABLE, method, "mse_missing") for method in ("RNN-ReLU over rows", "CNN"))
    cost = {model.name: model.macs_per_pixel for result in results.values() for model in result.models}
    times = cost.get("study-cnn", math.nan) / cost.get("study-row-rnn", math.nan)
    if not (rows > cnn and times > 1):
        return None
    return (
        "What is missing are scan lines, and the recurrence runs along them: a line is filled from the 24 columns "
        f"around it alone. Its MSE there is {rows:.5f}, that of the CNN, which takes {times:.1f} times the arithmetic, "
        f"{cnn:.5f}."
    )


def energy_never_measured(results: Results) -> str | None:
    """35 dB from a quarter of the lines of one coil."""
    start, reached = (_figure(results, MRI_TABLE, method, PSNR.key) for method in ("zero-filled", "U-Net"))
    if not start < reached < MRI_GOAL_DB:
        return None
    asked, found = _guessed(start, MRI_GOAL_DB), _guessed(start, reached)
    return (
        f"One coil at 4× leaves three quarters of the lines unmeasured, {start:.2f} dB: {MRI_GOAL_DB:.0f} dB ask that "
        f"{asked:.1%} of the energy of those lines be guessed, and the U-Net guesses {found:.1%}."
    )


def one_coil_is_too_few(results: Results) -> str | None:
    """An SSIM of 0.92 from a quarter of the lines of one coil."""
    unet, tv = (_figure(results, MRI_TABLE, method, SSIM.key) for method in ("U-Net", "TV"))
    eight, unrolled = (_figure(results, COILS_TABLE, method, SSIM.key) for method in ("TV", "unrolled network"))
    if not max(unet, tv) < MRI_GOAL_SSIM <= min(eight, unrolled):
        return None
    return (
        f"One coil measures a quarter of the unknowns, eight twice as many as there are: with one, total variation has "
        f"an SSIM of {tv:.3f} and the U-Net {unet:.3f}; with eight, on slices with texture, total variation has "
        f"{eight:.3f} and the unrolled network {unrolled:.3f}."
    )


def flat_and_exact(title: str) -> Reason:
    """Total variation on what it assumes, with the operator that made the data. title: of the table."""

    def reason(results: Results) -> str | None:
        here, there = (
            _figure(results, table, "TV", PSNR.key) - _figure(results, table, "U-Net, residual", PSNR.key)
            for table in (title, TEXTURED_TABLE)
        )
        if not (here > 0 and there < here):
            return None
        elsewhere = f"it leads by {there:.2f} dB" if there > 0 else f"the U-Net leads by {-there:.2f} dB"
        return (
            "Total variation is given the flat tissue that it assumes and the operator that made the data, and leads "
            f"the U-Net by {here:.2f} dB; on tissue with texture, measured on a finer grid, {elsewhere}."
        )

    return reason


def coils_are_summed(results: Results) -> str | None:
    """A U-Net that is given the zero-filled magnitude knows nothing of the coils; TV and the unrolled network do."""
    names = ("zero-filled", "U-Net", "TV", "unrolled network")
    start, reached, tv, unrolled = (_figure(results, COILS_TABLE, name, PSNR.key) for name in names)
    if not (start < reached < min(MRI_GOAL_DB, tv, unrolled)):
        return None
    return (
        f"The zero-filled magnitude of {start:.2f} dB, which the paper's U-Net is given, has lost the coils and the "
        f"phase: of the energy that is missing in it {_guessed(start, MRI_GOAL_DB):.1%} would have to be guessed, and "
        f"{_guessed(start, reached):.1%} is; TV and the unrolled network compute it from the coils ({tv:.2f} and "
        f"{unrolled:.2f} dB)."
    )


def _guessed(start: float, reached: float) -> float:
    """Share of the squared error at ``start`` dB that is gone at ``reached`` dB."""
    return float(1 - 10 ** ((start - reached) / 10))


def adversary_moves_off_the_mean(title: str, metric: str, adversarial: str, twin: str) -> Reason:
    """The error's least value is at the conditional mean; an adversary pulls away from it.

    Blau & Michaeli, The Perception–Distortion Tradeoff, CVPR 2018.

    Args:
        title: of the table. metric: a PSNR's key. adversarial, twin: one network, with an adversary and without.
    """

    def reason(results: Results) -> str | None:
        with_it, without = (_figure(results, title, method, metric) for method in (adversarial, twin))
        if not with_it < without + LEAST_DB:
            return None
        alike = f", less than the {LEAST_DB:g} dB that count" if with_it >= without else ""
        return (
            "The mean over all that may be there has the least squared error, and an adversary asks for something "
            f"else: {adversarial} is the network of {twin} with one, and has {with_it:.2f} dB for {without:.2f} "
            f"dB{alike}."
        )

    return reason


def adversary_costs_the_lead(title: str, metric: str, adversarial: str, twin: str, rivals: Iterable[str]) -> Reason:
    """An adversarial network loses to rivals whom its twin without an adversary beats."""
    moved = adversary_moves_off_the_mean(title, metric, adversarial, twin)

    def reason(results: Results) -> str | None:
        leads = (_figure(results, title, twin, metric) > _figure(results, title, rival, metric) for rival in rivals)
        return moved(results) if all(leads) else None

    return reason


def adversaries_decide_the_order(title: str) -> Reason:
    """ESRGAN over SRCNN over SRGAN in PSNR: the places of two networks that were not trained for PSNR."""

    def reason(results: Results) -> str | None:
        names = ("SRCNN", "SRGAN", "SRResNet", "ESRGAN", "RRDB")
        srcnn, srgan, residual, esrgan, dense = (_figure(results, title, name, PSNR.key) for name in names)
        if not (srgan < residual and esrgan < dense):
            return None
        return (
            f"Two of the three were not trained for PSNR: the adversary costs SRGAN {residual - srgan:.2f} of its "
            f"generator's {residual:.2f} dB and ESRGAN {dense - esrgan:.2f} of {dense:.2f} dB, which decides their "
            f"places beside SRCNN ({srcnn:.2f} dB)."
        )

    return reason


def never_saw_such_frames(name: str) -> Reason:
    """A classifier of raw frames is asked about reconstructed ones."""

    def reason(results: Results) -> str | None:
        methods = (f"{name}, trained on raw", f"{name}, trained on it")
        before, after = (_figure(results, DETECTION_TABLE, method, "auc") for method in methods)
        if not before < after:
            return None
        return (
            "The classifier has never seen such frames, and loses by that, not by what they show: trained on them it "
            f"has an AUC of {after:.3f} on the same scenes, for {before:.3f}."
        )

    return reason


def adds_nothing_to_the_frame(name: str) -> Reason:
    """The data-processing inequality: what is computed from a frame tells no more of the lesion than the frame does.

    Cover & Thomas, Elements of Information Theory, 2nd ed., section 2.8.
    """

    def reason(results: Results) -> str | None:
        methods = (f"{version}, trained on it" for version in ("raw", name, "ground truth"))
        raw, reconstructed, truth = (_figure(results, DETECTION_TABLE, method, "auc") for method in methods)
        if not reconstructed <= raw < truth:
            return None
        return (
            "A reconstruction is computed from the raw frame and adds nothing to what it tells of a lesion: a reader "
            f"trained on raw frames has an AUC of {raw:.3f}, one trained on reconstructions {reconstructed:.3f}; only "
            f"the ground truth, which is not computed from them, has more ({truth:.3f})."
        )

    return reason


def _figure(results: Results, title: str, method: str, key: str) -> float:
    """The mean of a cell of the table with that title; nan when it was not measured."""
    for table in (table for result in results.values() for table in result.tables):
        if table.title == title and method in {row.method for row in table.rows}:
            return table.mean(method, key)
    return math.nan

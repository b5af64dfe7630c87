"""The result of a fit as one HTML page: the choice, the Pareto front as a plot, and every candidate."""

from __future__ import annotations

import math
from html import escape

from edgerecon.deploy.fit.fit import Fit, Requirement, TimedCandidate
from edgerecon.deploy.fit.fit_plot import fit_plot
from edgerecon.report.page import number, page, table


def fit_page(fit: Fit) -> str:
    """HTML that needs nothing beside itself."""
    asked = escape(", ".join(asked_for(fit.requirement, fit.shape)))
    body = (
        '<p class="brand">edgerecon fit</p><h1>The best quality that holds the deadline</h1>'
        f'<p class="muted">{asked}. {escape(str(fit.host.get("cpu")))}, '
        f"{escape(str(fit.host.get('date')))}</p>{_choice(fit)}<h2>Quality against time</h2>"
        f'<div class="scroll">{fit_plot(fit)}</div>'
        '<p class="note">Circles: median back to back, all candidates side by side in one run. Line: the Pareto front. '
        "Diamond: p99 from capture to presentation, streamed at 30 frames a second. SSIM as the model file states "
        f"it, on simulated scenes.</p><h2>Candidates</h2>{_table(fit)}{_untrained(fit)}"
    )
    return page("edgerecon fit", body)


def asked_for(requirement: Requirement, shape: tuple[int, int]) -> list[str]:
    """The requirement in words."""
    asked = [f"p99 within {requirement.deadline_ms:g} ms", f"{shape[0]} × {shape[1]} pixels"]
    for name, least in (("SSIM", requirement.min_ssim), ("gCNR", requirement.min_gcnr)):
        if least is not None:
            asked.append(f"{name} at least {least:g}")
    return asked


def sentence(fit: Fit) -> str:
    """The choice in a sentence."""
    if fit.chosen is None:
        fastest = fit.tried[0]
        best = min((one.streamed_p99_ms for one in fit.tried if one.streamed_p99_ms is not None), default=None)
        proven = "" if best is None else f", and the best streamed p99 is {best:.1f} ms"
        if best == math.inf:
            proven = ", and all that were streamed lost more than 1 % of the frames"
        return (
            f"Nothing holds {fit.requirement.deadline_ms:g} ms at p99 here: the fastest, {fastest.candidate.name}, "
            f"takes {fastest.ms:.1f} ms back to back{proven}."
        )
    one = fit.chosen
    ssim = "no recorded SSIM" if math.isnan(one.candidate.ssim) else f"SSIM {one.candidate.ssim:.3f}"
    choice = f"{one.candidate.name}: predicted p99 {one.streamed_p99_ms:.1f} ms, {ssim}."
    return f"{choice} {_larger(fit.larger)}" if fit.larger else choice


def _larger(one: TimedCandidate) -> str:
    """What else would fit, and how to get it."""
    return (
        f"Not trained yet, {one.candidate.name} would hold it too (streamed p99 {one.streamed_p99_ms:.1f} ms) with "
        f"{one.candidate.macs:,.0f} multiply-accumulates a pixel; whether it is better shows once it is trained:  "
        f"{one.candidate.train}"
    )


def _choice(fit: Fit) -> str:
    return f'<p class="verdict{"" if fit.chosen else " missed"}">{escape(sentence(fit))}</p>'


def _table(fit: Fit) -> str:
    every = sorted([*fit.tried, *fit.untrained], key=lambda one: one.ms)
    rows = [
        (
            one.candidate.name,
            number(one.candidate.macs or math.nan, 0),
            number(one.candidate.ssim, 3),
            number(one.candidate.psnr_db, 2),
            number(one.candidate.gcnr, 3),
            number(one.ms, 2),
            streamed_text(one),
            _mark(one, fit),
        )
        for one in every
    ]
    head = ("Candidate", "MAC a pixel", "SSIM", "PSNR, dB", "gCNR", "p50, ms", "Streamed p99, ms", "")
    return table(head, rows, ".nnnnnn.")


def streamed_text(one: TimedCandidate) -> str:
    """p99 in ms, empty where nothing was streamed."""
    if one.streamed_p99_ms is None:
        return ""
    return f"{one.streamed_p99_ms:.2f}" if math.isfinite(one.streamed_p99_ms) else "frames lost"


def _mark(one: TimedCandidate, fit: Fit) -> str:
    if one.candidate.train:
        return "not trained"
    return "chosen" if one == fit.chosen else "front" if one in fit.front else ""


def _untrained(fit: Fit) -> str:
    if not fit.untrained:
        return ""
    return (
        '<p class="note">Not trained: this width and depth with random weights, for its time alone, on the runtimes '
        "that were fastest in float and in int8; what it would do to an image is unknown.</p>"
    )

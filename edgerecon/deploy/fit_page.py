"""The result of a fit as one HTML page: the choice, the Pareto front as a plot, and every candidate."""

from __future__ import annotations

import math
from html import escape

from edgerecon.deploy.fit import Fit, Tried
from edgerecon.latency.page import number, page, table

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 960, 380, 60, 24, 24, 48
_LINE = 14
"""Least distance of two labels, of the same pixels."""


def fit_page(fit: Fit) -> str:
    """HTML that needs nothing beside itself."""
    height, width = fit.shape
    asked = [f"p99 within {fit.requirement.deadline_ms:g} ms", f"{height} × {width} pixels"]
    for name, least in (("SSIM", fit.requirement.min_ssim), ("gCNR", fit.requirement.min_gcnr)):
        if least is not None:
            asked.append(f"{name} at least {least:g}")
    body = (
        '<p class="brand">edgerecon fit</p><h1>The best quality that holds the deadline</h1>'
        f'<p class="muted">{escape(", ".join(asked))}. {escape(str(fit.host.get("cpu")))}, '
        f"{escape(str(fit.host.get('date')))}</p>{_choice(fit)}<h2>Quality against time</h2>"
        f'<div class="scroll">{_plot(fit)}</div>'
        '<p class="note">Circles: median back to back, all candidates side by side in one run. Line: the Pareto front. '
        "Diamond: p99 from capture to presentation, streamed at 30 frames a second. SSIM as the model file states "
        f"it, on simulated scenes.</p><h2>Candidates</h2>{_table(fit)}{_untrained(fit)}"
    )
    return page("edgerecon fit", body)


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
    choice = f"{one.candidate.name}: predicted p99 {one.streamed_p99_ms:.1f} ms, SSIM {one.candidate.ssim:.3f}."
    return f"{choice} {_larger(fit.larger)}" if fit.larger else choice


def _larger(one: Tried) -> str:
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
            one.candidate.name, number(one.candidate.macs, 0), number(one.candidate.ssim, 3),
            number(one.candidate.psnr_db, 2), number(one.candidate.gcnr, 3), number(one.ms, 2),
            streamed_text(one), _mark(one, fit),
        )
        for one in every
    ]  # fmt: skip
    head = ("Candidate", "MAC a pixel", "SSIM", "PSNR, dB", "gCNR", "p50, ms", "Streamed p99, ms", "")
    return table(head, rows, ".nnnnnn.")


def streamed_text(one: Tried) -> str:
    """p99 in ms, empty where nothing was streamed."""
    if one.streamed_p99_ms is None:
        return ""
    return f"{one.streamed_p99_ms:.2f}" if math.isfinite(one.streamed_p99_ms) else "frames lost"


def _mark(one: Tried, fit: Fit) -> str:
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


def _plot(fit: Fit) -> str:
    known = [one for one in fit.tried if math.isfinite(one.candidate.ssim)]
    if not known:
        return "<p>No candidate states its SSIM.</p>"
    proven = {one.candidate: p99 for one in known if (p99 := one.streamed_p99_ms) is not None and math.isfinite(p99)}
    slowest = max(*(one.ms for one in known), *proven.values(), 0.0)
    end = 1.08 * max(slowest, fit.requirement.deadline_ms if fit.requirement.deadline_ms < 4 * slowest else 0)
    values = [one.candidate.ssim for one in known]
    low, high = min(values) - 0.01, max(values) + 0.01

    def x(ms: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(ms / end, 1)

    def y(ssim: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (ssim - low) / (high - low)

    floor = _HEIGHT - _BOTTOM
    parts = [f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{floor}" y2="{floor}"/>']
    step = next(s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000) if end / s <= 12)
    for i in range(int(end / step) + 1):
        parts.append(f'<text x="{x(i * step):.1f}" y="{floor + 18}" text-anchor="middle">{i * step:g}</text>')
    labelled = math.inf
    for value in sorted(set(values)):
        if labelled - y(value) >= _LINE:
            labelled = y(value)
            parts.append(f'<text x="{_LEFT - 8}" y="{labelled + 4:.1f}" text-anchor="end">{value:.3f}</text>')
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        )
    if fit.requirement.deadline_ms < end:
        at = x(fit.requirement.deadline_ms)
        parts.append(f'<line class="deadline" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP - 14}" y2="{floor}"/>')
        parts.append(f'<text class="deadline-text" x="{at + 4:.1f}" y="{_TOP - 4}">deadline</text>')
    front = [one for one in fit.front if one in known]
    points = " ".join(f"{x(one.ms):.1f},{y(one.candidate.ssim):.1f}" for one in front)
    parts.append(f'<polyline points="{points}" fill="none" stroke="#0f9485" stroke-width="2"/>')
    parts += [_circle(one, x(one.ms), y(one.candidate.ssim), one in front) for one in known]
    for one in known:
        if one.candidate in proven:
            a, b = x(proven[one.candidate]), y(one.candidate.ssim)
            parts.append(
                f'<path d="M{a:.1f} {b - 7:.1f}l7 7l-7 7l-7 -7z" fill="#cf2f2f"><title>{escape(one.candidate.name)}: '
                f"streamed p99 {proven[one.candidate]:.2f} ms</title></path>"
            )
    parts.append(f'<text x="{_LEFT}" y="{_HEIGHT - 6}">milliseconds; SSIM upwards</text>')
    label = f"{len(known)} candidates, SSIM against milliseconds"
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _circle(one: Tried, x: float, y: float, front: bool) -> str:
    fill = "#0f9485" if front else "#fff"
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{fill}" stroke="#16202b"><title>{escape(one.candidate.name)}: '
        f"{one.ms:.2f} ms, SSIM {one.candidate.ssim:.3f}</title></circle>"
    )

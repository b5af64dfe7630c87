"""Quality against time of a fit's candidates, as SVG."""

from __future__ import annotations

import math
from html import escape

from edgerecon.deploy.fit.candidates import Candidate
from edgerecon.deploy.fit.fit import Fit, TimedCandidate
from edgerecon.report.axes import LEFT, RIGHT, WIDTH, Axes, Scale, svg

_HEIGHT, _TOP, _BOTTOM = 380.0, 24.0, 48.0


def fit_plot(fit: Fit) -> str:
    """One SVG element; a sentence where no candidate states its SSIM."""
    known = [one for one in fit.tried if math.isfinite(one.candidate.ssim)]
    if not known:
        return "<p>No candidate states its SSIM.</p>"
    proven = {one.candidate: p99 for one in known if (p99 := one.streamed_p99_ms) is not None and math.isfinite(p99)}
    deadline, slowest = fit.requirement.deadline_ms, max(*(one.ms for one in known), *proven.values(), 0.0)
    values = sorted({one.candidate.ssim for one in known})
    end = 1.08 * max(slowest, deadline if deadline < 4 * slowest else 0)
    axes = Axes(
        Scale(0.0, end, LEFT, WIDTH - RIGHT),
        Scale(values[0] - 0.01, values[-1] + 0.01, _HEIGHT - _BOTTOM, _TOP),
    )
    front = [one for one in fit.front if one in known]
    points = " ".join(f"{axes.x(one.ms):.1f},{axes.y(one.candidate.ssim):.1f}" for one in front)
    parts = [
        axes.rows([(axes.y.low, ""), *((value, f"{value:.3f}") for value in values)]),
        axes.columns(axes.x.ticks(), grid=False),
        _deadline(axes, deadline) if deadline < end else "",
        f'<polyline points="{points}" fill="none" stroke="#0f9485" stroke-width="2"/>',
        *(_circle(one, axes, one in front) for one in known),
        *(_diamond(candidate, p99, axes) for candidate, p99 in proven.items()),
        f'<text x="{LEFT}" y="{_HEIGHT - 6}">milliseconds; SSIM upwards</text>',
    ]
    return svg(WIDTH, _HEIGHT, f"{len(known)} candidates, SSIM against milliseconds", parts)


def _deadline(axes: Axes, ms: float) -> str:
    x = axes.x(ms)
    return (
        f'<line class="deadline" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 14}" y2="{axes.y.start}"/>'
        f'<text class="deadline-text" x="{x + 4:.1f}" y="{_TOP - 4}">deadline</text>'
    )


def _circle(one: TimedCandidate, axes: Axes, front: bool) -> str:
    """Median back to back; filled on the Pareto front."""
    fill = "#0f9485" if front else "#fff"
    return (
        f'<circle cx="{axes.x(one.ms):.1f}" cy="{axes.y(one.candidate.ssim):.1f}" r="5" fill="{fill}" '
        f'stroke="#16202b"><title>{escape(one.candidate.name)}: {one.ms:.2f} ms, SSIM {one.candidate.ssim:.3f}'
        "</title></circle>"
    )


def _diamond(candidate: Candidate, p99_ms: float, axes: Axes) -> str:
    """p99 while streaming."""
    return (
        f'<path d="M{axes.x(p99_ms):.1f} {axes.y(candidate.ssim) - 7:.1f}l7 7l-7 7l-7 -7z" fill="#cf2f2f">'
        f"<title>{escape(candidate.name)}: streamed p99 {p99_ms:.2f} ms</title></path>"
    )

"""Quality against time of a fit's candidates, as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from edgerecon.deploy.fit.candidates import Candidate
from edgerecon.deploy.fit.fit import Fit, TimedCandidate

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 960, 380, 60, 24, 24, 48
_FLOOR = _HEIGHT - _BOTTOM
_LINE = 14
"""Least distance of two labels, of the same pixels."""
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000)


@dataclass(frozen=True)
class _Axes:
    """Milliseconds from 0 to ``end`` to the right, SSIM from ``low`` to ``high`` upwards."""

    end: float
    low: float
    high: float

    def x(self, ms: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(ms / self.end, 1)

    def y(self, ssim: float) -> float:
        return _FLOOR - (_FLOOR - _TOP) * (ssim - self.low) / (self.high - self.low)


def fit_plot(fit: Fit) -> str:
    """One SVG element; a sentence where no candidate states its SSIM."""
    known = [one for one in fit.tried if math.isfinite(one.candidate.ssim)]
    if not known:
        return "<p>No candidate states its SSIM.</p>"
    proven = {one.candidate: p99 for one in known if (p99 := one.streamed_p99_ms) is not None and math.isfinite(p99)}
    deadline, slowest = fit.requirement.deadline_ms, max(*(one.ms for one in known), *proven.values(), 0.0)
    values = sorted({one.candidate.ssim for one in known})
    axes = _Axes(1.08 * max(slowest, deadline if deadline < 4 * slowest else 0), values[0] - 0.01, values[-1] + 0.01)
    front = [one for one in fit.front if one in known]
    points = " ".join(f"{axes.x(one.ms):.1f},{axes.y(one.candidate.ssim):.1f}" for one in front)
    parts = [
        *_grid(axes, values),
        *(_deadline(axes.x(deadline)) if deadline < axes.end else ()),
        f'<polyline points="{points}" fill="none" stroke="#0f9485" stroke-width="2"/>',
        *(_circle(one, axes, one in front) for one in known),
        *(_diamond(candidate, p99, axes) for candidate, p99 in proven.items()),
        f'<text x="{_LEFT}" y="{_HEIGHT - 6}">milliseconds; SSIM upwards</text>',
    ]
    label = f"{len(known)} candidates, SSIM against milliseconds"
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _grid(axes: _Axes, values: list[float]) -> Iterator[str]:
    """A line for each SSIM, with its number where there is room, and the milliseconds below."""
    yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{_FLOOR}" y2="{_FLOOR}"/>'
    step = next((each for each in _STEPS if axes.end / each <= 12), axes.end)
    for i in range(int(axes.end / step) + 1):
        yield f'<text x="{axes.x(i * step):.1f}" y="{_FLOOR + 18}" text-anchor="middle">{i * step:g}</text>'
    labelled = math.inf
    for value in values:
        at = axes.y(value)
        if labelled - at >= _LINE:
            labelled = at
            yield f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{value:.3f}</text>'
        yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'


def _deadline(x: float) -> Iterator[str]:
    yield f'<line class="deadline" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 14}" y2="{_FLOOR}"/>'
    yield f'<text class="deadline-text" x="{x + 4:.1f}" y="{_TOP - 4}">deadline</text>'


def _circle(one: TimedCandidate, axes: _Axes, front: bool) -> str:
    """Median back to back; filled on the Pareto front."""
    fill = "#0f9485" if front else "#fff"
    return (
        f'<circle cx="{axes.x(one.ms):.1f}" cy="{axes.y(one.candidate.ssim):.1f}" r="5" fill="{fill}" '
        f'stroke="#16202b"><title>{escape(one.candidate.name)}: {one.ms:.2f} ms, SSIM {one.candidate.ssim:.3f}'
        "</title></circle>"
    )


def _diamond(candidate: Candidate, p99_ms: float, axes: _Axes) -> str:
    """p99 while streaming."""
    return (
        f'<path d="M{axes.x(p99_ms):.1f} {axes.y(candidate.ssim) - 7:.1f}l7 7l-7 7l-7 -7z" fill="#cf2f2f">'
        f"<title>{escape(candidate.name)}: streamed p99 {p99_ms:.2f} ms</title></path>"
    )

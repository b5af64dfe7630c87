"""The pictures of a bench as hand-written SVG: bars with intervals, latency CDFs, quality against time, load curves."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from html import escape

from edgerecon.report.axes import LEFT, RIGHT, WIDTH, Axes, Scale, svg

TOP, BOTTOM = 20.0, 56.0
HUES = (174, 32, 262, 210, 340, 90, 12, 300)
LETTER = 7.2
"""Width of a letter on a page, in units of the view box."""
SHOWN_DIGITS = 3
"""Decimal places of a quality."""
Line = tuple[str, Sequence[tuple[float, float]]]
"""(label, points)."""


def bars(rows: Sequence[tuple[str, float, float]]) -> str:
    """Horizontal bars to p50 with a line to p99: (label, p50, p99) in ms. Each number stands where its mark ends."""
    if not rows:
        return ""
    names, step = 400.0, 26.0
    room = 6 + LETTER * max(len(f"{_number(p50)} to {_number(p99)}") for _, p50, p99 in rows)
    x = Scale(0.0, max(max(p50, p99) for _, p50, p99 in rows), names, WIDTH - room)
    height, parts = TOP + step * len(rows) + BOTTOM, []
    for i, (label, p50, p99) in enumerate(rows):
        y = TOP + step * i
        inside = x(p50) - names > 12 + LETTER * len(_number(p50))
        name, numbers = escape(_shortened(label, names - 8)), ("" if inside else f"{_number(p50)} to ") + _number(p99)
        parts.append(
            f'<text x="{names - 8:.0f}" y="{y + 16:.0f}" text-anchor="end">{name}</text>'
            f'<rect class="bar" x="{names:.1f}" y="{y + 4:.1f}" width="{max(x(p50) - names, 1):.1f}" height="16">'
            f"<title>{escape(label)}: p50 {p50:.2f} ms, p99 {p99:.2f} ms</title></rect>"
            f'<path class="mark" d="M{x(p50):.1f} {y + 12:.1f}H{x(p99):.1f}M{x(p99):.1f} {y + 7:.1f}v10"/>'
            f'<text x="{x(p99) + 6:.1f}" y="{y + 16:.0f}">{numbers}</text>'
        )
        if inside:
            at = x(p50) - 6
            parts.append(f'<text class="on-bar" x="{at:.1f}" y="{y + 16:.0f}" text-anchor="end">{_number(p50)}</text>')
    return svg(WIDTH, height, "Median latency of each row, the line reaches to its 99th percentile", parts)


def _number(value: float) -> str:
    """Three digits, and never as a power of ten."""
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def _shortened(label: str, room: float) -> str:
    """A label that fits; its end, which says how the row ran, stays."""
    most = int(room / LETTER)
    return label if len(label) <= most else "…" + label[len(label) - most + 1 :]


def lines(
    curves: Sequence[Line],
    x_label: str,
    y_label: str,
    *,
    log_x: bool = False,
    y_end: float = 1.0,
    percent: bool = False,
) -> str:
    """Curves over a common axis, y from 0 to ``y_end``; a legend names them."""
    points = [point for _, curve in curves for point in curve]
    if not points:
        return ""
    low, high = min(x for x, _ in points), max(x for x, _ in points)
    plot = 300.0
    x = _across(low if log_x else 0.0, high * 1.03, log_x)
    y = Scale(0.0, y_end, TOP + plot, TOP)
    height = TOP + plot + BOTTOM + 18 * math.ceil(len(curves) / 2)
    steps = [y_end * step / 5 for step in range(6)]
    numbers = [(value, f"{100 * value:.0f} %" if percent else f"{value:.2g}") for value in steps]
    parts = [*_labelled(Axes(x, y), x_label, y_label), Axes(x, y).rows(numbers)]
    for i, (label, curve) in enumerate(curves):
        colour = f"hsl({HUES[i % len(HUES)]} 70% 36%)"
        dash = "" if i < len(HUES) else ' stroke-dasharray="6 4"'
        path = "L".join(f"{x(a):.1f} {y(min(b, y_end)):.1f}" for a, b in curve)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        at_x, at_y = LEFT + (i % 2) * 450, TOP + plot + BOTTOM + 18 * (i // 2)
        parts.append(
            f'<path d="M{at_x} {at_y}h22" stroke="{colour}" stroke-width="3"{dash}/>'
            f'<text x="{at_x + 28}" y="{at_y + 4}">{escape(label)}</text>'
        )
    return svg(WIDTH, height, f"{y_label} against {x_label}", parts)


def histograms(rows: Sequence[tuple[str, Sequence[float]]], x_label: str) -> str:
    """One histogram a row over a common logarithmic axis, each to its own height.

    Args:
        rows: (label, percentiles 0 to 100 in ms).
    """
    if not rows:
        return ""
    low, high = min(p[0] for _, p in rows) / 1.02, max(p[-1] for _, p in rows) * 1.02
    x, step, bins = _across(low, high, True), 44.0, 120
    edges = [low * (high / low) ** (i / bins) for i in range(bins + 1)]
    plot = step * len(rows)
    parts = _labelled(Axes(x, Scale(0.0, 1.0, TOP + plot, TOP)), x_label)
    for number, (label, percentiles) in enumerate(rows):
        base = TOP + step * (number + 1)
        shares = [_below(percentiles, b) - _below(percentiles, a) for a, b in itertools.pairwise(edges)]
        tallest = (step - 16) / max(shares)
        path = "".join(
            f"M{x(a):.1f} {base:.1f}V{base - tallest * share:.1f}H{x(b):.1f}V{base:.1f}"
            for (a, b), share in zip(itertools.pairwise(edges), shares, strict=True)
            if share
        )
        parts.append(
            f'<path class="bar" d="{path}"/><path class="grid" d="M{LEFT} {base:.1f}H{WIDTH - RIGHT}"/>'
            f'<text x="{WIDTH - RIGHT}" y="{base - step + 14:.1f}" text-anchor="end">{escape(label)}</text>'
        )
    return svg(WIDTH, TOP + plot + BOTTOM, f"Histograms of {x_label}", parts)


def _below(percentiles: Sequence[float], value: float) -> float:
    """Share of what lies below a value, linear between percentiles."""
    at = bisect.bisect_left(percentiles, value)
    if at == 0:
        return 0.0
    if at == len(percentiles):
        return 1.0
    before, after = percentiles[at - 1], percentiles[at]
    return (at - 1 + (value - before) / (after - before)) / (len(percentiles) - 1)


def front(points: Sequence[tuple[str, float, float]], x_label: str, y_label: str) -> str:
    """(label, x, y) as circles over a logarithmic x, and the line of those that nothing beats: small x, large y."""
    if not points:
        return ""
    points = [(label, a, round(b, SHOWN_DIGITS)) for label, a, b in points]  # what looks alike is alike
    low, high = min(x for _, x, _ in points) / 1.2, max(x for _, x, _ in points) * 1.5
    top = max(y for *_, y in points)
    bottom = min(*(y for *_, y in points), top - 10 * 10**-SHOWN_DIGITS)
    margin = (top - bottom) * 0.12
    plot = 320.0
    x, y = _across(low, high, True), Scale(bottom - margin, top + margin, TOP + plot, TOP)
    best: list[tuple[str, float, float]] = []
    for point in sorted(points, key=lambda p: (p[1], -p[2])):
        if not best or point[2] > best[-1][2]:
            best.append(point)
    numbers = [(value, f"{value:.{SHOWN_DIGITS}f}") for value in (bottom + (top - bottom) * i / 4 for i in range(5))]
    parts = [*_labelled(Axes(x, y), x_label, y_label), Axes(x, y).rows(numbers)]
    path = "L".join(f"{x(a):.1f} {y(b):.1f}" for _, a, b in best)
    parts.append(f'<path class="mark" fill="none" d="M{path}"/>')
    for label, a, b in points:
        faint = "" if (label, a, b) in best else ' opacity="0.45"'
        parts.append(
            f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="5" class="bar"{faint}>'
            f"<title>{escape(label)}: {a:.2f} ms, {b:.3f}</title></circle>"
        )
    for number, (_, a, b) in enumerate(best, 1):
        parts.append(f'<text x="{x(a) + 8:.1f}" y="{y(b) - 7:.1f}">{number}</text>')
    for number, (label, a, b) in enumerate(best, 1):
        at_x, at_y = LEFT + ((number - 1) % 2) * 450, TOP + plot + BOTTOM + 18 * ((number - 1) // 2)
        parts.append(f'<text x="{at_x}" y="{at_y}">{number}  {escape(label)}: {a:.3g} ms, {b:.3f}</text>')
    return svg(WIDTH, TOP + plot + BOTTOM + 18 * math.ceil(len(best) / 2), f"{y_label} against {x_label}", parts)


def _across(low: float, high: float, log: bool) -> Scale:
    """An axis over the whole width."""
    return Scale(low, high, LEFT, WIDTH - RIGHT, math.log if log else float)


def _labelled(axes: Axes, x_label: str, y_label: str = "") -> list[str]:
    """The numbers of x and what both axes are."""
    bottom = axes.y.start
    parts = [
        axes.columns(axes.x.ticks()),
        f'<text x="{WIDTH - RIGHT}" y="{bottom + 32}" text-anchor="end">{escape(x_label)}</text>',
    ]
    return [*parts, f'<text x="{LEFT}" y="{TOP - 6}">{escape(y_label)}</text>'] if y_label else parts

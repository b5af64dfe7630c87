"""The latency histogram as hand-written SVG. Both axes are logarithmic: one late frame in thousands is seen, and the
worst one stands where it belongs however late it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.report.axes import WIDTH, Axes, Scale, svg

_HEIGHT = 282.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 14.0, 56.0, 40.0
_FLOOR = _HEIGHT - _BOTTOM
_BARS = 96
_TICKS = 14
_MARKS = {"p50": ("p50", 2), "p99": ("p99", 14), "max": ("worst", 38)}
"""What is marked: its label, and how far above the bars that stands. Marks may fall together: all heights differ."""


def histogram_svg(
    histogram: Mapping[str, Sequence[float]] | None, latency_ms: Mapping[str, Any], deadline_ms: float | None
) -> str:
    """Draw latencies with the deadline, p50, p99 and the worst.

    Args:
        histogram: {"edges_ms": n + 1 ascending edges, "counts": n}; None or empty gives "".
        latency_ms: percentiles; p50, p99 and max are marked where they are.
        deadline_ms: None when there was none.

    Returns:
        One ``<svg>`` element, styled by the page's classes. The axis holds every latency and the deadline.
    """
    if not histogram or not any(histogram["counts"]):
        return ""
    deadline = deadline_ms if deadline_ms and math.isfinite(deadline_ms) else None
    edges, counts = rebin(histogram["edges_ms"], histogram["counts"], deadline)
    peak = float(counts.max())
    x = Scale(float(edges[0]), float(edges[-1]), _LEFT, WIDTH - _RIGHT, math.log)
    axes = Axes(x, Scale(0.0, peak, _FLOOR, _TOP, math.log1p))
    powers = [10**power for power in range(int(math.log10(peak)) + 1)]
    parts = [
        axes.rows([(0, ""), *((count, str(count)) for count in powers)]),
        axes.columns(x.ticks(_TICKS), grid=False),
    ]
    parts.append(f'<text x="{_LEFT}" y="{_HEIGHT - 6}">latency in ms; number of frames; both logarithmic</text>')
    parts.append(_bars(edges, counts, deadline, axes))
    parts += [_mark(latency_ms.get(key), *shown, x) for key, shown in _MARKS.items()]
    if deadline:
        parts.append(_line("deadline", x(deadline), _TOP - 26, f"deadline {deadline:.1f} ms"))
    return svg(WIDTH, _HEIGHT, f"Histogram of {counts.sum():.0f} latencies on logarithmic axes", parts)


def rebin(
    edges_ms: Sequence[float], counts: Sequence[float], deadline: float | None
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Bars of one ratio for a logarithmic axis, one of whose edges is the deadline; every frame stays counted.

    Returns:
        (edges, n + 1; counts, n), from the quickest latency to the slowest, and to both sides of the deadline. A
        source bin goes whole to the bar of its middle.
    """
    edges, weights = np.asarray(edges_ms, np.float64), np.asarray(counts, np.float64)
    filled = np.flatnonzero(weights)
    upper = np.where(np.isfinite(edges[1:]), edges[1:], np.maximum(edges[:-1], 1e-6) * 2)
    lower = np.where(edges[:-1] > 0, edges[:-1], upper / 2)  # a logarithm has no 0
    low, high = float(lower[filled[0]]), float(upper[filled[-1]])
    if deadline:
        low, high = min(low, deadline / 1.15), max(high, 1.15 * deadline)
    # A bar narrower than the source's bins leaves gaps like a comb's; among the slowest 1 % that does not matter.
    bulk = filled[: int(np.searchsorted(weights[filled].cumsum(), 0.99 * weights.sum())) + 1]
    ratio = max((high / low) ** (1 / _BARS), min(2.0, float((upper / lower)[bulk].max())))
    anchor = deadline or low
    below = math.ceil(math.log(anchor / low) / math.log(ratio) - 1e-9)
    above = max(1 - below, math.ceil(math.log(high / anchor) / math.log(ratio) - 1e-9))
    bars = below + above
    middle = np.maximum((edges[:-1] + upper) / 2, 1e-9)
    place = np.floor(np.log(middle / anchor) / math.log(ratio) + 1e-9).astype(np.int64) + below
    totals: NDArray[np.floating] = np.bincount(np.clip(place, 0, bars - 1), weights, minlength=bars).astype(np.float64)
    return anchor * ratio ** np.arange(-below, above + 1.0), totals


def _bars(edges: NDArray[np.floating], counts: NDArray[np.floating], deadline: float | None, axes: Axes) -> str:
    x, y, drawn = axes.x, axes.y, []
    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
        if count:
            kind = "bar late" if deadline and low >= deadline * (1 - 1e-9) else "bar"
            drawn.append(
                f'<rect class="{kind}" x="{x(low):.1f}" y="{y(count):.1f}" '
                f'width="{max(x(high) - x(low) - 1, 1):.1f}" height="{_FLOOR - y(count):.1f}">'
                f"<title>{low:.2f} to {high:.2f} ms: {count:.0f} frames</title></rect>"
            )
    return "".join(drawn)


def _mark(value: object, name: str, above: float, x: Scale) -> str:
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return ""
    at = x(min(max(value, x.low), x.high))
    return _line("mark", at, _TOP - above, f"{name} {value:.3g} ms" if name == "worst" else name)


def _line(kind: str, at: float, top: float, text: str) -> str:
    anchor = "end" if at > WIDTH - 80 else "start"
    return (
        f'<line class="{kind}" x1="{at:.1f}" x2="{at:.1f}" y1="{top - 8}" y2="{_FLOOR}"/>'
        f'<text class="{kind}-text" x="{at + (4 if anchor == "start" else -4):.1f}" y="{top}" '
        f'text-anchor="{anchor}">{text}</text>'
    )

"""The latency histogram as hand-written SVG. Both axes are logarithmic: one late frame in thousands is seen, and the
worst one stands where it belongs however late it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WIDTH, _HEIGHT = 960.0, 282.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 14.0, 56.0, 40.0
_FLOOR = _HEIGHT - _BOTTOM
_BARS = 96
_TICKS = 14
_MARKS = {"p50": ("p50", 2), "p99": ("p99", 14), "max": ("worst", 38)}
"""What is marked: its label, and how far above the bars that stands. Marks may fall together: all heights differ."""

Scale = Callable[[float], float]


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
    low, high = float(edges[0]), float(edges[-1])

    def x(ms: float) -> float:
        share = math.log(max(ms, low) / low) / math.log(high / low)
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(share, 1.0)

    def y(count: float) -> float:
        return _FLOOR - (_FLOOR - _TOP) * math.log10(1 + count) / math.log10(1 + counts.max())

    parts = [_axes(low, high, float(counts.max()), x, y), _bars(edges, counts, deadline, x, y)]
    parts += [_mark(latency_ms.get(key), *shown, x) for key, shown in _MARKS.items()]
    if deadline:
        parts.append(_line("deadline", x(deadline), _TOP - 26, f"deadline {deadline:.1f} ms"))
    label = f"Histogram of {counts.sum():.0f} latencies on logarithmic axes"
    box = f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}"
    return f'<svg viewBox="{box}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


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


def _bars(edges: NDArray[np.floating], counts: NDArray[np.floating], deadline: float | None, x: Scale, y: Scale) -> str:
    drawn = []
    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
        if count:
            kind = "bar late" if deadline and low >= deadline * (1 - 1e-9) else "bar"
            drawn.append(
                f'<rect class="{kind}" x="{x(low):.1f}" y="{y(count):.1f}" '
                f'width="{max(x(high) - x(low) - 1, 1):.1f}" height="{_FLOOR - y(count):.1f}">'
                f"<title>{low:.2f} to {high:.2f} ms: {count:.0f} frames</title></rect>"
            )
    return "".join(drawn)


def _axes(low_ms: float, high_ms: float, peak: float, x: Scale, y: Scale) -> str:
    drawn = []
    for power in range(int(math.log10(peak)) + 1):
        at = y(10**power)
        drawn.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        drawn.append(f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{10**power}</text>')
    drawn.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{_FLOOR}" y2="{_FLOOR}"/>')
    for value in _ticks(low_ms, high_ms):
        drawn.append(f'<text x="{x(value):.1f}" y="{_FLOOR + 16}" text-anchor="middle">{value:g}</text>')
    drawn.append(f'<text x="{_LEFT}" y="{_HEIGHT - 6}">latency in ms; number of frames; both logarithmic</text>')
    return "".join(drawn)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between both, as many as there is room for."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in (range(1, 10), (1, 2, 3, 5, 7), (1, 2, 5), (1,)):
        found = [value for p in powers for d in digits if low <= (value := float(f"{d}e{p}")) <= high]
        if len(found) <= _TICKS:
            break
    return found or [low, high]


def _mark(value: object, name: str, above: float, x: Scale) -> str:
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return ""
    return _line("mark", x(value), _TOP - above, f"{name} {value:.3g} ms" if name == "worst" else name)


def _line(kind: str, at: float, top: float, text: str) -> str:
    anchor = "end" if at > _WIDTH - 80 else "start"
    return (
        f'<line class="{kind}" x1="{at:.1f}" x2="{at:.1f}" y1="{top - 8}" y2="{_FLOOR}"/>'
        f'<text class="{kind}-text" x="{at + (4 if anchor == "start" else -4):.1f}" y="{top}" '
        f'text-anchor="{anchor}">{text}</text>'
    )

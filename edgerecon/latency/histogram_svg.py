"""The latency histogram as hand-written SVG. Logarithmic counts: one late frame in thousands is seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_WIDTH, _HEIGHT = 960.0, 270.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 14.0, 44.0, 40.0
_FLOOR = _HEIGHT - _BOTTOM
_BARS = 96

Scale = Callable[[float], float]


def histogram_svg(
    histogram: Mapping[str, Sequence[float]] | None, latency_ms: Mapping[str, Any], deadline_ms: float | None
) -> str:
    """Draw latencies with the deadline, p50 and p99.

    Args:
        histogram: {"edges_ms": n + 1 ascending edges, "counts": n}; None or empty gives "".
        latency_ms: percentiles; p50 and p99 are marked.
        deadline_ms: None when there was none.

    Returns:
        One ``<svg>`` element, styled by the page's classes. Latencies beyond the axis are in its last bar.
    """
    if not histogram or not any(histogram["counts"]):
        return ""
    deadline = deadline_ms if deadline_ms and math.isfinite(deadline_ms) else None
    edges, counts = rebin(histogram["edges_ms"], histogram["counts"], deadline)

    def x(ms: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * min(ms / edges[-1], 1.0)

    def y(count: float) -> float:
        return _FLOOR - (_FLOOR - _TOP) * math.log10(1 + count) / math.log10(1 + counts.max())

    parts = [_axes(float(edges[-1]), float(counts.max()), x, y), _bars(edges, counts, deadline, x, y)]
    parts += [_mark(name, latency_ms.get(name), x) for name in ("p50", "p99")]
    if deadline:
        parts.append(_line("deadline", x(deadline), _TOP - 24, f"deadline {deadline:.1f} ms"))
    label = f"Histogram of {counts.sum():.0f} latencies with logarithmic counts"
    box = f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}"
    return f'<svg viewBox="{box}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def rebin(
    edges_ms: Sequence[float], counts: Sequence[float], deadline: float | None
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Equal bars for a linear axis from 0, one of whose edges is the deadline; every frame stays counted.

    Returns:
        (edges, n + 1; counts, n). A source bin goes whole to the bar of its middle; what lies beyond four
        times the deadline (without one: beyond the slowest) goes to the last bar.
    """
    edges, weights = np.asarray(edges_ms, np.float64), np.asarray(counts, np.float64)
    filled = np.flatnonzero(weights)
    upper = np.where(np.isfinite(edges[1:]), edges[1:], edges[:-1] * 2)
    middle, slowest = (edges[:-1] + upper) / 2, float(upper[filled[-1]])
    end = max(1.15 * deadline, min(slowest, 4 * deadline)) if deadline else slowest
    # A bar narrower than the source's bins leaves gaps like a comb's; among the slowest 1 % that does not matter.
    bulk = filled[: int(np.searchsorted(weights[filled].cumsum(), 0.99 * weights.sum())) + 1]
    coarsest = float((upper - edges[:-1])[bulk].max())
    width = max(end / _BARS, coarsest)
    if deadline:
        width = deadline / max(1, math.floor(deadline / width))
    bars = max(1, math.ceil(end / width - 1e-9))
    place = np.minimum((middle / width).astype(np.int64), bars - 1)
    totals: NDArray[np.floating] = np.bincount(place, weights, minlength=bars).astype(np.float64)
    return np.arange(bars + 1) * width, totals


def _bars(edges: NDArray[np.floating], counts: NDArray[np.floating], deadline: float | None, x: Scale, y: Scale) -> str:
    drawn = []
    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
        if count:
            kind = "bar late" if deadline and low >= deadline * (1 - 1e-9) else "bar"
            beyond = " or more" if high == edges[-1] else ""
            drawn.append(
                f'<rect class="{kind}" x="{x(low):.1f}" y="{y(count):.1f}" '
                f'width="{max(x(high) - x(low) - 1, 1):.1f}" height="{_FLOOR - y(count):.1f}">'
                f"<title>{low:.2f} to {high:.2f} ms{beyond}: {count:.0f} frames</title></rect>"
            )
    return "".join(drawn)


def _axes(end_ms: float, peak: float, x: Scale, y: Scale) -> str:
    step = next(s for s in _steps() if end_ms / s <= 10)
    drawn = []
    for power in range(int(math.log10(peak)) + 1):
        at = y(10**power)
        drawn.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        drawn.append(f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{10**power}</text>')
    drawn.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{_FLOOR}" y2="{_FLOOR}"/>')
    for i in range(int(end_ms / step) + 1):
        drawn.append(f'<text x="{x(i * step):.1f}" y="{_FLOOR + 16}" text-anchor="middle">{i * step:g}</text>')
    drawn.append(f'<text x="{_LEFT}" y="{_HEIGHT - 6}">latency in ms; number of frames on a logarithmic scale</text>')
    return "".join(drawn)


def _steps() -> list[float]:
    return [round(m * 10.0**p, 6) for p in range(-3, 7) for m in (1, 2, 5)]


def _mark(name: str, value: object, x: Scale) -> str:
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return ""
    # The two marks may fall together: their labels stand at different heights.
    return _line("mark", x(value), _TOP - (2 if name == "p50" else 14), name)


def _line(kind: str, at: float, top: float, text: str) -> str:
    anchor = "end" if at > _WIDTH - 80 else "start"
    return (
        f'<line class="{kind}" x1="{at:.1f}" x2="{at:.1f}" y1="{top - 8}" y2="{_FLOOR}"/>'
        f'<text class="{kind}-text" x="{at + (4 if anchor == "start" else -4):.1f}" y="{top}" '
        f'text-anchor="{anchor}">{text}</text>'
    )

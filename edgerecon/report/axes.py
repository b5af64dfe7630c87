"""What every plot of a page is made of, as hand-written SVG: scales, axes with round numbers, the element itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LEFT, RIGHT = 960.0, 60.0, 24.0
"""Of a plot as wide as the page, and of what stays free beside its axes, in units of the view box."""
TEXT_HEIGHT = 14.0
"""Numbers that are nearer to each other than this would overlap."""
Warp = Callable[[float], float]


@dataclass(frozen=True)
class Scale:
    """Where a value lies on an axis.

    Attributes:
        low, high: values at the ends. start, end: their places.
        warp: what is evenly spaced: ``float`` the values, ``math.log`` their ratios, ``math.log1p`` counts from 0 on.
    """

    low: float
    high: float
    start: float
    end: float
    warp: Warp = float

    def __call__(self, value: float) -> float:
        """The place of a value."""
        low, high = self.warp(self.low), self.warp(self.high)
        return self.start + (self.end - self.start) * (self.warp(value) - low) / (high - low)

    def ticks(self, most: int = 12) -> list[float]:
        """Round numbers between both ends, as many as there is room for; the ends where there is no round one."""
        if self.warp is float:
            return _even_ticks(self.low, self.high, most)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for digits in (range(1, 10), (1, 2, 3, 5, 7), (1, 2, 5), (1,)):
            found = [at for p in powers for d in digits if self.low <= (at := float(f"{d}e{p}")) <= self.high]
            if len(found) <= most:
                break
        return found or [self.low, self.high]


def _even_ticks(low: float, high: float, most: int) -> list[float]:
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(power * times for times in (1, 2, 5, 10, 20) if (high - low) / (power * times) <= most)
    first = math.ceil(low / step - 1e-9)
    return [step * i for i in range(first, math.floor(high / step + 1e-9) + 1)]


@dataclass(frozen=True)
class Axes:
    """The field of a plot: ``x`` to the right, ``y`` upwards, numbers below and to the left of it."""

    x: Scale
    y: Scale

    def columns(self, values: Iterable[float], grid: bool = True) -> str:
        """Numbers below the field, each with a line up through it if ``grid``."""
        bottom, top = self.y.start, self.y.end
        return "".join(
            (f'<path class="grid" d="M{self.x(value):.1f} {top:.1f}V{bottom:.1f}"/>' if grid else "")
            + f'<text x="{self.x(value):.1f}" y="{bottom + 16:.1f}" text-anchor="middle">{value:g}</text>'
            for value in values
        )

    def rows(self, values: Iterable[tuple[float, str]]) -> str:
        """Lines across the field, each with a text to the left where there is room for it. values: ascending."""
        drawn, last = [], math.inf
        for value, text in values:
            at = self.y(value)
            drawn.append(f'<path class="grid" d="M{self.x.start:.1f} {at:.1f}H{self.x.end:.1f}"/>')
            if text and last - at >= TEXT_HEIGHT:
                last = at
                drawn.append(f'<text x="{self.x.start - 8:.1f}" y="{at + 4:.1f}" text-anchor="end">{text}</text>')
        return "".join(drawn)


def svg(width: float, height: float, label: str, parts: Sequence[str], style: str = "") -> str:
    """One ``<svg>`` element. label: what a screen reader says."""
    styled = f' style="{style}"' if style else ""
    box = f"0 0 {width:.0f} {height:.0f}"
    return f'<svg viewBox="{box}"{styled} role="img" aria-label="{escape(label, quote=True)}">{"".join(parts)}</svg>'

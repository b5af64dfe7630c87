"""docs/display-simulator.png and its table: recordings and simulated displays, by eye and by statistics.

python bench/display_simulator.py ../shared/ultrasound/cine ../shared/ultrasound/frames --out docs/display-simulator.png

The picture shows twelve windows of each, 192×192 pixels, in mixed order; the key that follows says which is which.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.frame import to_uint8
from edgerecon.quality.datasets.recordings import load_recordings
from edgerecon.workshop.data.display.sample import SIZE, simulate_sample

EACH, COLUMNS, GAP = 12, 8, 6
COUNTED = 200  # windows of each that the table describes
LEAST_TISSUE = 0.8  # part of a window that is not black
UNSEEN = 10_000  # seeds that no training used

Pixels = NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="of recordings")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    found = {name: frames[0] for folder in asked.folders for name, frames in load_recordings(folder, 1)[0].items()}
    recordings = {name: _reduced(to_uint8(frame)) for name, frame in sorted(found.items())}
    chosen = sorted(rng.permutation(list(recordings))[:EACH])
    real = [_window(recordings[name], rng) for name in chosen]
    simulated = [simulate_sample(UNSEEN + asked.seed, index)[0]["shown"] for index in range(COUNTED)]
    order = rng.permutation(2 * EACH)
    cv2.imwrite(str(asked.out), _sheet([[*real, *simulated[:EACH]][place] for place in order]))
    key = ["real" if place < EACH else "simulated" for place in order]
    lines = [" · ".join(key[at : at + COLUMNS]) for at in range(0, len(key), COLUMNS)]
    more = [_window(frame, rng) for frame in recordings.values() for _ in range(COUNTED // len(recordings))]
    sys.stdout.write("\n".join([*lines, "", *chosen, "", *_table(more, simulated)]) + "\n")


def _reduced(frame: Pixels) -> Pixels:
    """A large screen halved until a window shows enough of it."""
    while min(frame.shape) > 4 * SIZE:
        frame = np.asarray(cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
    return frame


def _window(frame: Pixels, rng: np.random.Generator) -> Pixels:
    """A window that is mostly tissue."""
    windows = []
    for _ in range(60):
        top, left = (int(rng.integers(max(1, side - SIZE + 1))) for side in frame.shape)
        windows.append(frame[top : top + SIZE, left : left + SIZE])
        if _tissue(windows[-1]).mean() >= LEAST_TISSUE:
            return windows[-1]
    return max(windows, key=lambda window: float(_tissue(window).mean()))


def _tissue(window: Pixels) -> NDArray[np.bool_]:
    return np.asarray(window > 4)


def _sheet(windows: list[Pixels]) -> Pixels:
    side = SIZE + GAP
    sheet = np.full((side * -(-len(windows) // COLUMNS) + GAP, side * COLUMNS + GAP), 255, np.uint8)
    for place, window in enumerate(windows):
        y, x = GAP + place // COLUMNS * side, GAP + place % COLUMNS * side
        sheet[y : y + SIZE, x : x + SIZE] = 0
        sheet[y : y + window.shape[0], x : x + window.shape[1]] = window
    return sheet


def _grey_level(window: Pixels) -> float:
    return float(np.median(window[_tissue(window)]))


def _local_contrast(window: Pixels) -> float:
    """Standard deviation within 3 pixels' Gaussian, grey levels, median over tissue."""
    x = window.astype(np.float32)
    mean, square = (cv2.GaussianBlur(each, (0, 0), 3) for each in (x, x * x))
    return float(np.median(np.sqrt(np.maximum(square - mean * mean, 0))[_tissue(window)]))


def _grain(axis: int) -> Callable[[Pixels], float]:
    """Lag at which the autocorrelation of what a Gaussian of 6 pixels leaves falls to one half, in pixels."""

    def measure(window: Pixels) -> float:
        x = window.astype(np.float32)
        x = np.moveaxis(x - cv2.GaussianBlur(x, (0, 0), 6), axis, 0)
        fall = [1.0] + [float((x[lag:] * x[:-lag]).mean() / max((x * x).mean(), 1e-9)) for lag in range(1, 12)]
        after = next((lag for lag, value in enumerate(fall) if value < 0.5), len(fall) - 1)
        return after - 1 + (fall[after - 1] - 0.5) / max(fall[after - 1] - fall[after], 1e-9)

    return measure


def _spectrum(window: Pixels) -> float:
    """Exponent of the power spectrum between 4 and 40 periods a window; white noise has 0, natural images about −2."""
    side = min(window.shape)
    power = np.abs(np.fft.rfft2((window[:side, :side] - float(window.mean())) * np.hanning(side)[:, None])) ** 2
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]) * side
    edges = np.geomspace(4, 40, 9)
    rings = [power[(frequency >= a) & (frequency < b)].mean() for a, b in zip(edges[:-1], edges[1:], strict=True)]
    return float(np.polyfit(np.log(np.sqrt(edges[:-1] * edges[1:])), np.log(np.maximum(rings, 1e-9)), 1)[0])


STATISTICS: dict[str, Callable[[Pixels], float]] = {
    "median grey level of tissue": _grey_level,
    "local contrast, grey levels": _local_contrast,
    "grain, axial, pixels": _grain(0),
    "grain, lateral, pixels": _grain(1),
    "exponent of the spectrum": _spectrum,
}


def _table(real: list[Pixels], simulated: list[Pixels]) -> list[str]:
    """10th, 50th and 90th percentile over windows."""
    lines = ["| | recordings | simulated |", "|---|---|---|"]
    for name, measure in STATISTICS.items():
        ranges = []
        for windows in (real, simulated):
            low, middle, high = np.percentile([measure(w) for w in windows if _tissue(w).mean() > 0.3], [10, 50, 90])
            ranges.append(f"{middle:.1f} ({low:.1f} to {high:.1f})")
        lines.append(f"| {name} | {' | '.join(ranges)} |")
    return lines


if __name__ == "__main__":
    main()

"""A simulated live probe: a beating heart in a sector, with speckle and noise. For trying and for testing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from time import perf_counter_ns

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import UsageError
from edgerecon.stream.sources.base import Capture, Source
from edgerecon.stream.sources.channel.channel import OPTIONS as CHANNEL_OPTIONS
from edgerecon.stream.sources.kind import SourceKind
from edgerecon.stream.sources.live.live_channel import SimChannelSource
from edgerecon.stream.sources.live.probe_clock import ProbeClock
from edgerecon.stream.sources.live.size_fps import OPTIONS, size_fps
from edgerecon.stream.sources.query import Query

_PHASES = 24
_DEPTH_MM = 160.0
_NOISE = 6.0


class SimSource:
    """Never ends and never waits: frames that nobody takes in time are gone, and are the next one's gap.

    One heartbeat is rendered beforehand; a frame then costs one addition of noise.

    Args:
        height, width: in pixels. fps: frames a second.
    """

    live: bool = True
    name = "sim"

    def __init__(self, height: int = 256, width: int = 256, fps: float = 30.0) -> None:
        self.period_s: float | None = 1 / fps
        self.spacing_mm: tuple[float, float] | None = (_DEPTH_MM / height, _DEPTH_MM / height)
        self.length: int | None = None
        self._clock = ProbeClock(1 / fps)
        rng = np.random.default_rng(0)
        self._beat = _render(height, width, rng)
        self._noise = np.abs(rng.normal(0, _NOISE, (height + 64, width + 64))).astype(np.uint8)
        self._rng = rng

    def frames(self) -> Iterator[Capture]:
        image = np.empty_like(self._beat[0])
        height, width = image.shape
        for tick in self._clock.ticks():
            phase = int(tick.phase * _PHASES)
            top, left = self._rng.integers(0, 64, 2)
            cv2.add(self._beat[phase], self._noise[top : top + height, left : left + width], dst=image)
            yield Capture(image, gap=tick.gap, captured_ns=perf_counter_ns())

    def close(self) -> None:
        self._clock.close()


def _render(height: int, width: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One heartbeat, (_PHASES, H, W): dark chambers whose walls carry the speckle with them as they contract."""
    down, across = np.mgrid[0:height, 0:width].astype(np.float32)
    down, across = down / height, (across - width / 2) / height
    sector = (np.hypot(down, across) < 0.98) & (np.abs(np.arctan2(across, down + 1e-3)) < math.radians(42))
    speckle = _speckle(height, width, rng)
    frames = np.empty((_PHASES, height, width), np.uint8)
    for phase, frame in enumerate(frames):
        squeeze = 1 + 0.18 * math.sin(2 * math.pi * phase / _PHASES) ** 3
        from_heart = np.hypot((down - 0.52) / 0.30, across / 0.22)
        pull = 1 + (squeeze - 1) * np.exp(-(from_heart**2) / 2)  # what lies far away stays in its place
        y, x = 0.52 + (down - 0.52) * pull, across * pull
        echo = _echo(y, x) * cv2.remap(speckle, x * height + width / 2, y * height, cv2.INTER_LINEAR)
        decibel = 20 * np.log10(np.maximum(echo, 1e-4))
        np.copyto(frame, (np.clip(1 + decibel / 55, 0, 1) * 235 * sector).astype(np.uint8))
    return frames


def _speckle(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Rayleigh-distributed envelope of many scatterers; its cells are wider than deep, as those of a probe."""
    parts = [
        cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), 1.8, sigmaY=1.0)
        for _ in range(2)
    ]
    envelope = np.hypot(*parts)
    return np.asarray(envelope / envelope.mean(), np.float32)


def _echo(y: NDArray[np.float32], x: NDArray[np.float32]) -> NDArray[np.float32]:
    """How strongly the tissue scatters at (y, x), in units of the depth: chambers, walls, pericardium."""
    echo = np.full(y.shape, 0.05, np.float32)
    muscle = np.hypot((y - 0.52) / 0.33, x / 0.25)
    echo[muscle < 1] = 0.16
    echo[np.abs(muscle - 1) < 0.06] = 0.9
    for centre_y, centre_x, radius_y, radius_x in (
        (0.40, -0.09, 0.15, 0.07),
        (0.40, 0.09, 0.15, 0.08),
        (0.68, -0.08, 0.09, 0.07),
        (0.68, 0.08, 0.09, 0.07),
    ):
        chamber = np.hypot((y - centre_y) / radius_y, (x - centre_x) / radius_x)
        echo = np.where(chamber < 1, np.float32(0.004), echo)
        echo = np.where(np.abs(chamber - 1) < 0.08, np.float32(0.6), echo)
    return np.asarray(cv2.GaussianBlur(echo, (0, 0), 1.2) * np.exp(-0.8 * y), np.float32)


def _open(place: str, query: Query) -> Source:
    size, fps = size_fps({key: value for key, value in query.items() if key in OPTIONS})
    if "channel" in query:
        return SimChannelSource(query, fps or 30.0)
    if wrong := sorted(set(query) & set(CHANNEL_OPTIONS)):
        raise UsageError(
            f"the simulated probe has no option '{wrong[0]}' without channel: give sim://?channel&{wrong[0]}=…"
        )
    return SimSource(*(size or (256, 256)), fps=fps or 30.0)


SOURCE = SourceKind(
    name="simulated probe",
    title="the simulated probe",
    schemes=("sim",),
    addresses=("sim://[?size=256x256&fps=30]", "sim://?channel[&beamform=das]"),
    options=(*OPTIONS, "channel", *CHANNEL_OPTIONS),
    open=_open,
)

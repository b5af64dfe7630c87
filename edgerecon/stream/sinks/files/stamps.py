"""What is known of each frame of a recording beside its pixels: number, time and spacing."""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from edgerecon.core.frame import Frame, Status
from edgerecon.core.pose import Pose
from edgerecon.stream.sinks.base import StreamInfo

_PAUSE = 4.0
"""Steps of more than so many mean ones are pauses, and not of the rate."""

_AGREES = 0.02
"""A rate that is stated is taken when the frames' own times agree with it to this share."""

Spacing = tuple[float, float]


class Stamp(NamedTuple):
    """One frame's.

    Attributes:
        sequence: counts captures from 0. captured_ns: on the monotonic clock.
        time_ns: see ``StreamInfo.time_ns``.
        raw: whether it was shown as captured. late: whether it came behind its deadline.
        spacing_mm: (row, column) in the recording; None when unknown, or when it was scaled to fit in.
        fields: what the file says of this frame beside it, by name; None when nothing.
    """

    sequence: int
    captured_ns: int
    time_ns: int
    raw: bool
    late: bool
    spacing_mm: Spacing | None
    fields: dict[str, str] | None = None

    @classmethod
    def of(cls, frame: Frame, late: bool, info: StreamInfo, shape: tuple[int, ...]) -> Stamp:
        """``shape``: (H, W) of the recording's frames."""
        spacing_mm = (frame.spacing_mm or info.spacing_mm) if frame.pixels.shape == shape else None
        raw, time_ns = frame.status is Status.RAW, info.time_ns(frame)
        return cls(frame.sequence, frame.captured_ns, time_ns, raw, bool(late), spacing_mm)


def recorded_pose(frame: Frame, shape: tuple[int, ...]) -> Pose | None:
    """The frame's pose in a recording of (H, W): without its plane where the image is scaled to fit in."""
    if frame.pose is None or frame.pixels.shape == shape:
        return frame.pose
    return replace(frame.pose, plane=None)


class Stamps:
    """The stamps of one recording, as far as its head needs them.

    Attributes:
        sequences, times_ns: of each frame. raw: numbers in the recording, from 1, of those shown as captured.
        spacing_mm: where all frames agree on it, else None.
    """

    def __init__(self, info: StreamInfo) -> None:
        self._info = info
        self.sequences, self.times_ns = array("q"), array("q")
        self.raw: list[int] = []
        self.spacing_mm: Spacing | None = None

    def __len__(self) -> int:
        return len(self.sequences)

    def add(self, stamp: Stamp) -> None:
        """Append the stamp of one frame; spacings that differ make ``spacing_mm`` None."""
        if not self.sequences:
            self.spacing_mm = stamp.spacing_mm
        elif self.spacing_mm != stamp.spacing_mm:
            self.spacing_mm = None
        self.sequences.append(stamp.sequence)
        self.times_ns.append(stamp.time_ns)
        if stamp.raw:
            self.raw.append(len(self.sequences))

    @property
    def seconds(self) -> np.ndarray:
        """float64 (T): since the first frame."""
        times = np.array(self.times_ns, np.int64)
        return (times - times[:1]) / 1e9

    @property
    def period_s(self) -> float:
        """Of the frames as they came from a live source; of a recording, as it states it."""
        if not self._info.live:
            return self._info.period_s
        return measured_period_s(self.times_ns, self.sequences, self._info.period_s)


def measured_period_s(times_ns: ArrayLike, sequences: ArrayLike, stated_s: float) -> float:
    """Mean time between two captures, without pauses and over frames that are missing.

    Args:
        times_ns: of the frames, ascending. sequences: their numbers, which jump over the missing ones.
        stated_s: what is returned for fewer than two frames, and where the frames agree with it to 2 %.
    """
    steps = np.diff(np.asarray(times_ns, np.float64)) / np.maximum(np.diff(np.asarray(sequences, np.int64)), 1)
    if not len(steps):
        return stated_s
    period_s = float(steps[steps <= _PAUSE * steps.mean()].mean()) / 1e9
    if period_s <= 0 or abs(period_s - stated_s) <= _AGREES * stated_s:
        return stated_s
    return period_s

"""When the frames of a DICOM cine were taken."""

from __future__ import annotations

import logging
import statistics
from itertools import accumulate

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword

from edgerecon.stream.sources.files.dicom.header import magnitude, number, numbers_of, value
from edgerecon.stream.sources.frame_rate import period_of_rate, taken_period_s

_log = logging.getLogger(__name__)

_FASTEST_MS = 0.2  # 5 000 frames a second: ultrafast imaging
_SECONDS_AT_LEAST = 1e-3
_RATES = ("CineRate", "RecommendedDisplayFrameRate")
_VECTOR = tag_for_keyword("FrameTimeVector")


def period_s(header: Dataset, name: str) -> float | None:
    """Time between two frames: Frame Time, the median of Frame Time Vector, or a rate (PS3.3 C.7.6.5), or None.

    Of a Frame Time and a Frame Time Vector, that which the Frame Increment Pointer names counts, else Frame Time.

    A Frame Time below 0.2 ms is no ultrasound cine: where a rate is stated, it counts, else the time is taken to be in
    seconds, and the log says so.
    """
    steps = _steps_ms(header)
    step_ms = statistics.median(steps) if steps else _frame_time_ms(header)
    rate = next((found for key in _RATES if (found := magnitude(header, key))), None)
    if step_ms is None:
        _warn_of_senseless_rate(header, name)
        return period_of_rate(name, rate)
    if step_ms >= _FASTEST_MS:
        return taken_period_s(name, step_ms / 1e3)
    told = f"{name} states a frame time of {step_ms:g} ms, {1e3 / step_ms:,.0f} frames a second"
    if rate:
        _log.warning("%s: its rate of %g frames a second is taken instead", told, rate)
        return 1 / rate
    if step_ms < _SECONDS_AT_LEAST:
        _log.warning("%s: it is ignored", told)
        return None
    _log.warning("%s: it is taken to be in seconds (%g frames a second)", told, 1 / step_ms)
    return step_ms


def times_s(header: Dataset, frames: int, period: float | None) -> list[float] | None:
    """Of each frame since the first, by the Frame Time Vector; None without one that fits the frames."""
    steps = _steps_ms(header)
    if period is None or len(steps) != frames - 1 or not steps:
        return None
    unit = period / statistics.median(steps)  # seconds a step of the vector, whatever it was meant to be in
    return list(accumulate((step * unit for step in steps), initial=0.0))


def _warn_of_senseless_rate(header: Dataset, name: str) -> None:
    """Tell a cine that states its rate by no number above 0 from one that states none."""
    stated = [key for key in ("FrameTime", *_RATES) if key in header]
    if stated and not any(magnitude(header, key) for key in _RATES) and (number(header, "NumberOfFrames") or 1) > 1:
        _log.warning("%s states no frame rate that makes sense: its %s is ignored", name, " and ".join(stated))


def _frame_time_ms(header: Dataset) -> float | None:
    found = number(header, "FrameTime")
    return found if found is not None and found > 0 else None


def _steps_ms(header: Dataset) -> list[float]:
    """The Frame Time Vector without its first element, which is 0; empty when it makes no sense or does not count."""
    if _frame_time_ms(header) and value(header, "FrameIncrementPointer") != _VECTOR:
        return []
    steps = numbers_of(header, "FrameTimeVector")[1:]
    return steps if steps and min(steps) >= 0 and statistics.median(steps) > 0 else []

"""The frame rate that a recording states: taken where it can be true, else left out, and the log says so."""

from __future__ import annotations

import logging

_log = logging.getLogger(__name__)

SHORTEST_S, LONGEST_S = 1e-4, 600.0
"""Between two frames: 10 000 a second in ultrafast imaging, one in ten minutes in a time lapse."""


def period_of_rate(name: str, rate: float | None) -> float | None:
    """Seconds between two frames of a stated rate (frames a second); None where none is stated, or one that no
    recording has (0, negative, NaN, beyond 10 000), which the log then says.

    Args:
        name: of the recording, for the log.
    """
    if rate is None:
        return None
    if 1 / LONGEST_S <= rate <= 1 / SHORTEST_S:
        return 1 / rate
    _log.warning("%s states %g frames a second: no recording has that rate, and it is ignored", name, rate)
    return None


def taken_period_s(name: str, period_s: float | None) -> float | None:
    """As ``period_of_rate``, of a stated time between two frames, in seconds."""
    if period_s is None or SHORTEST_S <= period_s <= LONGEST_S:
        return period_s
    _log.warning("%s states %g s between two frames: no recording has that time, and it is ignored", name, period_s)
    return None

"""Durations, as every verb takes them: a number of milliseconds, or a number with a unit."""

from __future__ import annotations

import math

from edgerecon.core.errors import UsageError

_UNITS = {"ms": 1.0, "us": 1e-3, "µs": 1e-3, "s": 1e3, "min": 60e3, "h": 3600e3}


def milliseconds(text: str | float) -> float:
    """Milliseconds of "33", "33ms", "0.1s" or "2min".

    Raises:
        UsageError: anything else, or a duration that is not above zero.

    Examples:
        >>> milliseconds("0.1s")
        100.0
    """
    number = str(text).strip().lower()
    unit = next((one for one in sorted(_UNITS, key=len, reverse=True) if number.endswith(one)), "")
    try:
        value = float(number.removesuffix(unit)) * _UNITS.get(unit, 1.0)
    except ValueError:
        raise UsageError(f"'{text}' is not a time: give for example 33ms or 0.1s") from None
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"'{text}' is not a time above zero: give for example 33ms or 0.1s")
    return value


def seconds(text: str | float) -> float:
    """Seconds of "10" (an option that is named for seconds), "10s", "500ms" or "2min".

    Raises:
        UsageError: see ``milliseconds``.
    """
    number = str(text).strip()
    return milliseconds(number if number[-1:].isalpha() else f"{number}s") / 1e3

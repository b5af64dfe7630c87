"""What a user may append to a path: ``recording.uff?range=50&fnumber=1``."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from edgerecon.core.errors import UsageError

Query = Mapping[str, str]


def split_query(text: str) -> tuple[str, dict[str, str]]:
    """Path and options. A file whose own name holds a ``?`` is that file, without options."""
    if "?" not in text or _exists(text):
        return text, {}
    path, _, query = text.rpartition("?")
    return path, parse_query(query)


def with_options(text: str, options: Mapping[str, str | None]) -> str:
    """A path or address with these options as well; those that are None are left out."""
    given = {key: value for key, value in options.items() if value is not None}
    if not given:
        return text
    address = "://" in text and not text.startswith("file://")
    path, _, before = (
        text.partition("?")
        if address
        else (split_query(text)[0], "", urlencode(split_query(text)[1], errors="replace"))
    )
    return f"{path}?{'&'.join(filter(None, (before, urlencode(given, errors='replace'))))}"


def parse_query(query: str) -> dict[str, str]:
    """What follows the ``?``."""
    return dict(parse_qsl(query, keep_blank_values=True))


def _exists(text: str) -> bool:
    try:
        return os.path.exists(os.path.expanduser(text))
    except ValueError:  # ~ and a character of code 0
        return False


def refuse_unknown(query: Query, known: tuple[str, ...], what: str) -> None:
    """Raises UsageError on an option that ``what`` does not have."""
    unknown = sorted(set(query) - set(known))
    if unknown:
        has = f"it has {', '.join(known)}" if known else "it has none"
        raise UsageError(f"{what} has no option '{unknown[0]}': {has}")


def number(query: Query, key: str, default: float, low: float, high: float) -> float:
    """An option as a number.

    Raises:
        UsageError: not a number, or outside ``low`` to ``high``.
    """
    text = query.get(key)
    try:
        value = default if text is None else float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise UsageError(f"{key}={text} makes no sense: give a number from {low:g} to {high:g}")
    return value

"""JSON as RFC 8259 has it: without NaN and infinity (what was not measured is null), and read without surprises."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """A copy for ``json.dumps``: mappings as dicts, lists and tuples as lists, floats that are not finite as None."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def parse(text: str | bytes) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: no JSON, or one that Python refuses: nested too deeply, or an integer of thousands of digits.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None

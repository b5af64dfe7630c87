"""What ``plain`` leaves is JSON in the strict sense, and the same but for NaN and infinity."""

from __future__ import annotations

import json
import math

from edgerecon.core.json import plain


def test_everything_but_nan_and_infinity_stays() -> None:
    value = {"a": (1, 2.5, "x", None, True), "b": {"c": [math.nan, {"d": (math.inf, -math.inf, -0.0)}]}, 3: []}
    text = json.dumps(plain(value), allow_nan=False)
    expected = {"a": [1, 2.5, "x", None, True], "b": {"c": [None, {"d": [None, None, -0.0]}]}, "3": []}
    assert json.loads(text) == expected
    assert math.isnan(value["b"]["c"][0])  # the value itself is as it was

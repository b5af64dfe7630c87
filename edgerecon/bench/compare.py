"""``edgerecon bench --compare A B``: what became slower or worse, judged by intervals instead of a fixed threshold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgerecon.bench.run import SCHEMA
from edgerecon.core.config import read_json
from edgerecon.core.errors import DataError

Key = tuple[str, str, str, int, tuple[int, ...]]
Speed = tuple[float, float, float]
Rows = dict[Key, dict[str, Any]]
NEEDED = {"model", "backend", "precision", "threads", "shape", "status"}
"""Without which a row cannot be compared."""
ALIKE = 5e-3
"""Largest change of a pixel error, on [0, 1], that is the rounding of another version of a runtime."""


@dataclass(frozen=True)
class Change:
    """One row in both results.

    Attributes:
        verdict: "slower", "faster", "undecided" (the intervals overlap), "broken" (it runs no more, or wrongly),
            "mended", "gone" (not measured in the second run) or "new" (not measured in the first).
        before, after: speed over the reference row, with interval; None where it did not run.
    """

    name: str
    verdict: str
    before: Speed | None
    after: Speed | None
    note: str = ""


def read_result(path: Path) -> dict[str, Any]:
    """A result that ``bench --json`` wrote, or that of the suites of ``make bench``.

    Raises:
        DataError: missing, no JSON, or of another schema (says which).
    """
    try:
        content = read_json(path, DataError, str(path))
    except DataError as error:
        raise DataError(f"{error}; give a file that  edgerecon bench --json  wrote") from None
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA or not isinstance(content.get("rows"), list):
        raise DataError(f"{path} has schema {schema}, this version reads {SCHEMA}: measure again with  edgerecon bench")
    if not all(isinstance(row, dict) and row.keys() >= NEEDED for row in content["rows"]):
        raise DataError(f"{path} has rows without {', '.join(sorted(NEEDED))}: measure again with  edgerecon bench")
    return content


def compare(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    """Rows of both results, matched by model, engine, threads and shape.

    Speeds are those over a reference row of the same result, so that a slower host does not count as a regression: the
    first row that ran, and where that is another one in either result, the first that ran in both. A row is slower when
    the whole interval lies below the whole interval before.
    """
    old, new = ({_key(row): row for row in result["rows"]} for result in (before, after))
    old_speeds, new_speeds = _over_one_row(old, new)
    return [
        _change(key, old.get(key), new.get(key), (old_speeds.get(key), new_speeds.get(key))) for key in {**old, **new}
    ]


def reference(before: dict[str, Any], after: dict[str, Any]) -> str | None:
    """The row over which ``compare`` gives speeds, where it is not the reference of both results."""
    old, new = ({_key(row): row for row in result["rows"]} for result in (before, after))
    common = _common_row(old, new)
    return _name(common) if common is not None else None


def _common_row(old: Rows, new: Rows) -> Key | None:
    """The first row that ran in both, where their own references differ; None else, and where no row did."""
    ran = [[key for key, row in rows.items() if _speed(row)] for rows in (old, new)]
    engines = all(keys and keys[0][4] for keys in ran)  # the suites have one reference, which is no row
    if not engines or ran[0][0] == ran[1][0]:
        return None
    return next((key for key in ran[0] if key in ran[1]), None)


def _over_one_row(old: Rows, new: Rows) -> tuple[dict[Key, Speed], dict[Key, Speed]]:
    common = _common_row(old, new)
    speeds = [{key: speed for key, row in rows.items() if (speed := _speed(row))} for rows in (old, new)]
    if common is None:
        return speeds[0], speeds[1]
    return _divided(speeds[0], common), _divided(speeds[1], common)


def _divided(speeds: dict[Key, Speed], by: Key) -> dict[Key, Speed]:
    """Ratios whose intervals hold for any dependence between the two rows: they are wider rather than too narrow."""
    middle, low, high = speeds[by]
    over = {key: (one[0] / middle, one[1] / high, one[2] / low) for key, one in speeds.items()}
    return over | {by: (1.0, 1.0, 1.0)}


STOPS = {"slower": "became slower", "broken": "broke", "gone": "not measured in the second run"}
"""Verdicts that should stop a release, as a sentence says them."""


def regression_summary(changes: list[Change]) -> str | None:
    """What should stop a release: how many rows for each reason, and one of them; None when nothing does."""
    said = []
    for verdict, words in STOPS.items():
        names = [one.name for one in changes if one.verdict == verdict]
        if names:
            said.append(f"{len(names)} of {len(changes)} rows {words}: {names[0]}{' and others' * (len(names) > 1)}")
    return "; ".join(said) or None


def _key(row: dict[str, Any]) -> Key:
    return row["model"], row["backend"], row["precision"], row["threads"], tuple(row["shape"])


def _name(key: Key) -> str:
    engine = f", {key[2]} on {key[1]}, {key[3]} thread{'s' * (key[3] != 1)}, {'×'.join(map(str, key[4]))}"
    return key[0] + (engine if key[4] else "")  # a benchmark of the suites is no engine


def _change(
    key: Key, before: dict[str, Any] | None, after: dict[str, Any] | None, speeds: tuple[Speed | None, Speed | None]
) -> Change:
    name, (old, new) = _name(key), speeds
    if before is None or after is None:
        verdict, run = ("new", "first") if before is None else ("gone", "second")
        return Change(name, verdict, old, new, f"not measured in the {run} run")
    if old is None or new is None:
        same = old is new
        verdict = "undecided" if same else "mended" if old is None else "broken"
        return Change(name, verdict, old, new, "ran in neither" if same else after["status"])
    note = _worse(before, after)
    if note:
        return Change(name, "broken", old, new, note)
    verdict = "slower" if new[2] < old[1] else "faster" if new[1] > old[2] else "undecided"
    return Change(name, verdict, old, new)


def _speed(row: dict[str, Any]) -> Speed | None:
    if row["status"] != "ok" or not row.get("speed_interval"):
        return None
    return row["speed"], *row["speed_interval"]


def _worse(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Quality is not noisy: the same file gives the same picture, but for the rounding of a runtime's version."""
    a, b = before.get("max_abs_error"), after.get("max_abs_error")
    return f"error against fp32 {a:.4f} → {b:.4f}" if a is not None and b is not None and b - a > ALIKE else ""

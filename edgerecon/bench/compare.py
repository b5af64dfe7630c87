"""``edgerecon bench --compare A B``: what became slower or worse, judged by intervals instead of a fixed threshold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgerecon.bench.run import SCHEMA
from edgerecon.core.config import read_json
from edgerecon.core.errors import DataError

Key = tuple[str, str, str, int, tuple[int, ...]]
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
        before, after: speed over the reference row of its own result, with interval; None where it did not run.
    """

    name: str
    verdict: str
    before: tuple[float, float, float] | None
    after: tuple[float, float, float] | None
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

    Speeds are those over each result's own reference row, so that a slower host does not count as a regression; a row
    is slower when the whole interval lies below the whole interval before.
    """
    old, new = ({_key(row): row for row in result["rows"]} for result in (before, after))
    return [_change(key, old.get(key), new.get(key)) for key in {**old, **new}]


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


def _change(key: Key, before: dict[str, Any] | None, after: dict[str, Any] | None) -> Change:
    engine = f", {key[2]} on {key[1]}, {key[3]} threads, {'×'.join(map(str, key[4]))}"
    name = key[0] + (engine if key[4] else "")  # a benchmark of the suites is no engine
    old, new = _speed(before), _speed(after)
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


def _speed(row: dict[str, Any] | None) -> tuple[float, float, float] | None:
    if row is None or row["status"] != "ok" or not row.get("speed_interval"):
        return None
    return row["speed"], *row["speed_interval"]


def _worse(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Quality is not noisy: the same file gives the same picture, but for the rounding of a runtime's version."""
    a, b = before.get("max_abs_error"), after.get("max_abs_error")
    return f"error against fp32 {a:.4f} → {b:.4f}" if a is not None and b is not None and b - a > ALIKE else ""

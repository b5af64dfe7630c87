"""Which precision to ship, in a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgerecon.measure.row import Row

WORTH = 1.05
"""A lower precision has to be this much faster than a higher one; less is within what a quiet host repeats."""
_ORDER = ("fp32", "bf16", "fp16", "int16", "int8")


def best(rows: Sequence[Row]) -> Row | None:
    """The fastest row that passed; a higher precision where a lower one gains less than ``WORTH``; None without any."""
    chosen: Row | None = None
    passed = [row for row in rows if row.ok and row.speed.latency_ms]
    for row in sorted(passed, key=lambda row: (_rank(row), row.speed.latency_ms["p50"])):
        if chosen is None or chosen.speed.latency_ms["p50"] > row.speed.latency_ms["p50"] * WORTH:
            chosen = row
    return chosen


def verdict(rows: Sequence[Row]) -> str:
    """One sentence that names the choice and why the others lost, e.g. "Keep bf16 on openvino: …"."""
    chosen = best(rows)
    if chosen is None:
        failed = "; ".join(f"{row.name}: {row.status}" for row in rows)
        return f"Nothing to ship: {failed or 'no engine ran'}."
    others: dict[str, Row] = {}
    for row in rows:  # the best of each other precision
        rival = others.get(row.setup.precision)
        if row.setup.precision != chosen.setup.precision and (rival is None or _worse(rival, row)):
            others[row.setup.precision] = row
    parts = [_compared(row, chosen) for row in sorted(others.values(), key=_rank)]
    return f"Ship {chosen.name}{': ' + '; '.join(parts) if parts else ', the only precision there is'}."


def _rank(row: Row) -> int:
    return _ORDER.index(row.setup.precision) if row.setup.precision in _ORDER else len(_ORDER)


def _worse(a: Row, b: Row) -> bool:
    return (not a.ok, a.speed.latency_ms.get("p50", math.inf)) > (not b.ok, b.speed.latency_ms.get("p50", math.inf))


def _compared(row: Row, chosen: Row) -> str:
    if not row.speed.latency_ms:
        return f"{row.name} was not timed ({row.status})"
    factor = row.speed.latency_ms["p50"] / chosen.speed.latency_ms["p50"]
    speed = f"{factor:.2g}× slower" if factor >= 1 else f"{1 / factor:.2g}× faster"
    drop = chosen.quality.psnr_db - row.quality.psnr_db
    quality = "" if not math.isfinite(drop) else f" and {abs(drop):.2f} dB {'worse' if drop > 0 else 'better'}"
    refused = "" if row.ok else f", but refused: {row.status}"
    return f"{row.name} is {speed}{quality}{refused}"

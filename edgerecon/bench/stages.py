"""How a bench's stages are named and read, for the table and the page alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgerecon.report.page import number

COLUMNS = {
    "prepare": "prepare",
    "to_device": "H2D",
    "compute": "compute",
    "to_host": "D2H",
    "engine": "engine",
    "postprocess": "postprocess",
}
COPIES = ("to_device", "compute", "to_host")
NO_COPIES = "Nothing is copied to a GPU and back: these engines compute where the frame is."
WITH_COPIES = (
    "Engine: with a GPU's copies, as one CUDA graph. H2D (the copy to the GPU), compute and D2H (the copy back) are "
    "measured after the timing, by CUDA events and without the graph: they need not add up to the engine's time. "
    "A CPU engine copies nothing."
)
Rows = Sequence[Mapping[str, Any]]


def stage_table(rows: Rows, figures: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Headings and a line for each row: ms of every stage that any row has, then end to end.

    Args:
        figures: of "p50" and "p99", what a cell holds.
    """
    shown = [name for name in COLUMNS if any(name in row["stages_ms"] for row in rows)]
    lines = []
    for row in rows:
        times = [*(row["stages_ms"].get(name) or {} for name in shown), row["latency_ms"]]
        lines.append([" / ".join(number(of.get(figure), 2) for figure in figures) if of else "–" for of in times])
    return [*(COLUMNS[name] for name in shown), "end to end"], lines


def stage_note(rows: Rows) -> str:
    """What has to be read beneath it."""
    return WITH_COPIES if any(name in row["stages_ms"] for row in rows for name in COPIES) else NO_COPIES

"""A stream on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edgerecon.cli.tables.screen import print_table
from edgerecon.report.page import at_strength

if TYPE_CHECKING:
    from edgerecon.stream.loop.report import StreamReport

ENGINE = ("backend", "precision", "threads")


def print_stream(console: Console, report: StreamReport, timed: bool = True) -> None:
    """Latency by stage, and every frame's fate. ``timed``: whether it went against a deadline."""
    engine = report.engine
    model = report.model + at_strength(report.strength)
    title = f"{report.source} → {model} ({', '.join(str(engine[key]) for key in ENGINE)} threads)"
    table = Table(title=escape(title))
    table.add_column("milliseconds", no_wrap=True)
    names = ("p50", "p90", "p99", "p999", "max")
    for name in names:
        table.add_column("p99.9" if name == "p999" else name, justify="right", no_wrap=True)
    for stage, values in [*report.stages_ms.items(), ("capture to present", report.latency_ms)]:
        cells = [values.get(name) for name in names]
        table.add_row(stage, *("" if cell is None else f"{cell:.2f}" for cell in cells))
    print_table(console, table, ("p90", "p99.9"))
    console.print(
        f"{report.frames_in} frames in = {report.presented} presented + {report.dropped} dropped + "
        f"{report.failed} failed; {f'{report.late} late, ' if timed else ''}{report.raw_shown} shown raw; "
        f"{report.fps:.1f} fps"
    )
    if engine.get("why"):
        console.print(escape(f"{engine['backend']}: {engine['why']}"))
    if timed:
        missed = f"missed by {100 * report.deadline_miss_rate:.2f} % of the frames"
        console.print(f"deadline {report.deadline_ms:.1f} ms {missed}")
    else:
        console.print("as fast as it went, against no deadline")
    troubles = {"frames lost before us": report.gaps} | {name.replace("_", " "): n for name, n in report.counts.items()}
    troubles |= {f"frames that {sink} was too slow for": n for sink, n in report.skips.items()}
    if any(troubles.values()):
        console.print(escape(", ".join(f"{what}: {n}" for what, n in troubles.items() if n)))
    if len(report.ladder) > 1:
        console.print(escape(f"ladder {' → '.join(report.ladder)}, at the end {report.ladder[report.rung]}"))

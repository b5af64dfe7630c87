"""A study on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edgerecon.cli.tables.screen import print_table

if TYPE_CHECKING:
    from edgerecon.measure.bootstrap import Interval
    from edgerecon.study.report import StudyReport


def print_study(console: Console, report: StudyReport) -> None:
    """Each system's tables, then what became of the papers' claims."""
    for result in report.results:
        for found in result.tables:
            table = Table(title=escape(f"{result.title}: {found.title}"), caption=escape(found.data))
            table.add_column("method")
            for metric in found.metrics:
                table.add_column(metric.label, justify="right", no_wrap=True)
            for row in found.rows:
                table.add_row(
                    escape(row.method), *(_study_cell(row.values.get(m.key), m.digits) for m in found.metrics)
                )
            print_table(console, table, [metric.label for metric in reversed(found.metrics)])
        words = {True: "holds", False: "does not hold", None: "undecided"}
        for claim in result.claims:
            console.print(f"- {claim.text}: {words[claim.holds]}. {claim.evidence} {claim.explained}", markup=False)


def _study_cell(value: Interval | None, digits: int) -> str:
    return "" if value is None else f"{value['mean']:.{digits}f}"

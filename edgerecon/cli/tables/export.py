"""An export on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edgerecon.cli.tables.screen import print_table

if TYPE_CHECKING:
    from edgerecon.deploy.export.report import ExportReport

SPARE = ("kB", "gCNR", "largest diff.", "speed", "SSIM", "p99 ms", "PSNR dB")
"""Columns that a narrow screen can do without, the first one first."""


def print_export(console: Console, report: ExportReport) -> None:
    """Every engine's quality beside its speed, and the verdict."""
    table = Table(title=f"{report.model}: quality beside speed, {_size(report)}", caption=report.included)
    heads = ("kB", "PSNR dB", "SSIM", "gCNR", "largest diff.", "p50 ms", "p99 ms", "speed")
    table.add_column("file")
    table.add_column("engine", overflow="fold")
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("gates", overflow="fold")
    for row in report.rows:
        figures = (
            (row.cost.size_kb, 1),
            (row.quality.psnr_db, 2),
            (row.quality.ssim, 4),
            (row.quality.gcnr, 3),
            (row.quality.max_abs_error, 4),
            (row.speed.latency_ms.get("p50"), 2),
            (row.speed.latency_ms.get("p99"), 2),
            (row.speed.relative, 2),
        )
        cells = ("" if value is None or value != value else f"{value:.{digits}f}" for value, digits in figures)
        table.add_row(escape(row.setup.model), row.name, *cells, escape(row.status))
    print_table(console, table, SPARE)
    console.print(report.verdict)


def _size(report: ExportReport) -> str:
    return f"{report.rows[0].setup.shape[0]}×{report.rows[0].setup.shape[1]}" if report.rows else ""

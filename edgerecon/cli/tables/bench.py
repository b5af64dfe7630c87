"""A bench, and two of them compared, on the screen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edgerecon.cli.tables.screen import print_table

if TYPE_CHECKING:
    from edgerecon.bench.compare import Change


@dataclass(frozen=True)
class _Column:
    head: str
    figure: Callable[[Mapping[str, Any]], float | None]
    digits: int


def _latency(name: str) -> Callable[[Mapping[str, Any]], float | None]:
    return lambda row: row["latency_ms"][name]


BENCH = (
    _Column("p50 ms", _latency("p50"), 2),
    _Column("p90", _latency("p90"), 2),
    _Column("p99", _latency("p99"), 2),
    _Column("p99.9", _latency("p999"), 2),
    _Column("fps", itemgetter("fps"), 0),
    _Column("× fastest", lambda row: row["to_best"] and row["to_best"][0], 2),
    _Column("PSNR dB", itemgetter("psnr_db"), 2),
    _Column("SSIM", itemgetter("ssim"), 3),
    _Column("gCNR", itemgetter("gcnr"), 3),
    _Column("error", itemgetter("max_abs_error"), 4),
    _Column("like fp32", itemgetter("ssim_to_fp32"), 4),
    _Column("MB", itemgetter("memory_mb"), 0),
    _Column("start ms", itemgetter("startup_ms"), 0),
)
SPARE = ("start ms", "MB", "like fp32", "p90", "p99.9", "gCNR", "× fastest", "error", "PSNR dB", "fps", "SSIM", "p99")
"""Columns that a narrow screen can do without, the first one first."""


def print_bench(console: Console, result: Mapping[str, Any]) -> None:
    """One line a row that ran, model by model, then why the others did not."""
    height, width = result["shape"]
    table = Table(title=f"{width}×{height}, frames of {result['recording']}", caption=result["included"])
    table.add_column("engine", no_wrap=True)
    for column in BENCH:
        table.add_column(column.head, justify="right", no_wrap=True)
    rows = [row for row in result["rows"] if row["status"] == "ok"]
    figures = ([(column.figure(row), column.digits) for column in BENCH] for row in rows)
    _add_by_model(table, rows, [[_fixed(*figure) for figure in each] for each in figures])
    print_table(console, table, SPARE)
    _print_stages(console, rows, result)
    reasons: dict[str, list[str]] = {}
    for row in result["rows"]:
        if row["status"] != "ok":
            reasons.setdefault(row["status"], []).append(f"{row['model']} ({row['precision']} on {row['backend']})")
    for status, names in reasons.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        console.print(f"Not ok: {names[0]}{more}: {status}", markup=False, style="yellow")
    for one in result["scenarios"]:
        said = one.get("error") or f"{one['figure']} {one['value']:.2f}, {'VALID' if one['valid'] else 'INVALID'}"
        console.print(
            f"{one['scenario']}: {one['model']} ({one['precision']} on {one['backend']}): {said}", markup=False
        )
    if result["noisy"]:
        console.print(
            f"This host is noisy (spread {result['noise']:.2f}): trust ratios, not milliseconds", style="yellow"
        )


def _add_by_model(table: Table, rows: Sequence[Mapping[str, Any]], cells: Sequence[Sequence[str]]) -> None:
    """Rows of one family beneath its name."""
    from edgerecon.modelfile.variants import family

    several = len({row["threads"] for row in rows}) > 1
    families: dict[str, list[tuple[Mapping[str, Any], Sequence[str]]]] = {}
    for row, line in zip(rows, cells, strict=True):
        families.setdefault(family(row["model"]), []).append((row, line))
    for name, members in families.items():
        table.add_section()
        table.add_row(f"[bold]{escape(name)}")
        for row, line in members:
            threads = f", {row['threads']} thr." if several else ""
            table.add_row(f"  {row['precision']} {row['backend']}{threads}", *line)


def _fixed(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _print_stages(console: Console, rows: Sequence[Mapping[str, Any]], result: Mapping[str, Any]) -> None:
    """Where the time goes, and what the host told meanwhile."""
    from edgerecon.bench.stages import stage_note, stage_table
    from edgerecon.hardware.sensors.conditions import facts

    head, lines = stage_table(rows, ("p50",))
    if any(row["joules"] is not None for row in rows):
        head.append("J/frame")
        lines = [[*line, _fixed(row["joules"], 4)] for row, line in zip(rows, lines, strict=True)]
    table = Table(title="Where the time goes: p50, ms", caption=stage_note(rows))
    table.add_column("engine", no_wrap=True)
    for name in head:
        table.add_column(name, justify="right", no_wrap=True)
    _add_by_model(table, rows, lines)
    print_table(console, table, [name for name in head if name not in ("engine", "end to end")])
    for row in (row for row in rows if row["note"]):
        console.print(f"{row['model']} ({row['precision']} on {row['backend']}): {row['note']}", markup=False)
    for what, said in facts(result):
        console.print(f"{what}: {said}", markup=False, style="dim")


def print_changes(console: Console, changes: Sequence[Change], over: str | None = None) -> None:
    """One line a row of two results. over: the row that speeds are given over; None: each result's own reference."""
    table = Table(caption=f"speed over {escape(over or 'the reference row')}, with its 95 % interval")
    for head in ("row", "before", "after", "verdict", "note"):
        table.add_column(head, overflow="fold")
    for one in changes:
        cells = ("–" if s is None else "{:.3g} ({:.3g}–{:.3g})".format(*s) for s in (one.before, one.after))
        table.add_row(escape(one.name), *cells, one.verdict, escape(one.note))
    print_table(console, table, ("before", "after"))

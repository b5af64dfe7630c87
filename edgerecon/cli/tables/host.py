"""What this machine and others can do, on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edgerecon.cli.tables.screen import print_table, width_needed

if TYPE_CHECKING:
    from edgerecon.cli.doctor import Check


def doctor_table(checks: list[Check]) -> Table:
    """One line a check, with the command that adds what is missing."""
    table = Table()
    for heading in ("", "what", "found", "to add it"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("", "what"))
    for check in checks:
        mark = "[green]ok[/]" if check.ok else "[red]missing[/]" if check.required else "[yellow]no[/]"
        table.add_row(mark, check.name, escape(check.detail), escape(check.remedy))
    return table


def print_devices(console: Console, name: str | None, rows: list[dict[str, Any]]) -> None:
    """One line a device, or one line a fact of the device ``name``."""
    if name is not None:
        table = Table(title=name)
        for heading in ("what", "value", "source"):
            table.add_column(heading, overflow="fold")
        spare = []
        for row in rows:
            value = round(row["value"], 2) if isinstance(row["value"], float) else row["value"]
            table.add_row(row["key"], escape(str(value)), escape(row["source"]))
    else:
        table = _devices(rows, ", ")
        if width_needed(console, table) > console.width:
            table = _devices(rows, ",\n")
        spare = ["capability", "architecture", "backends", "W", "GB"]
    print_table(console, table, spare)


def _devices(rows: list[dict[str, Any]], between: str) -> Table:
    """One line a device; what stands ``between`` the precisions of its peak may begin a line."""
    table = Table(caption="GFLOPS and GOPS: dense peak. The source of every number: edgerecon devices NAME")
    for heading in ("device", "architecture", "capability", "GB", "GB/s", "peak", "W", "backends"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("capability", "GB", "GB/s", "peak", "W"))
    for row in rows:
        numbers = ("" if row[key] is None else f"{row[key]:g}" for key in ("memory_gb", "bandwidth_gbs"))
        watts = "" if row["power_w"] is None else f"{row['power_w']:g}"
        table.add_row(
            row["name"],
            escape(row["architecture"]),
            row["compute_capability"] or "",
            *numbers,
            between.join(f"{precision} {rate:,.0f}" for precision, rate in row["peak"].items()),
            watts,
            ", ".join(row["backends"]),
        )
    return table

"""The models that ship, on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from edgerecon.cli.tables.screen import print_table


def print_models(console: Console, rows: Sequence[dict[str, Any]], every: bool) -> None:
    """One line a model; with ``every`` one line a file."""
    table = Table(caption="kMAC: for a pixel. PSNR in dB and SSIM on validation scenes, as each file records them")
    for heading, justify in (
        ("model", "left"),
        ("task", "left"),
        ("files", "left"),
        ("kB", "right"),
        ("kMAC", "right"),
        ("dB", "right"),
        ("SSIM", "right"),
    ):
        table.add_column(heading, justify=justify, no_wrap=heading != "files")  # type: ignore[arg-type]
    for row in rows if every else [row for row in rows if row["name"] == row["family"]]:
        precisions = dict.fromkeys(one["precision"] for one in rows if one["family"] == row["family"])
        table.add_row(
            row["name"],
            row["task"],
            row["variant"] if every else " ".join(precisions),
            f"{row['size_kb']:.0f}",
            f"{row['macs_per_pixel'] / 1e3:.1f}",
            "" if row["psnr_db"] is None else f"{row['psnr_db']:.2f}",
            "" if row["ssim"] is None else f"{row['ssim']:.3f}",
        )
    print_table(console, table, spare=("task", "kMAC", "kB", "files"))

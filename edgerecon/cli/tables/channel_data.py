"""Measures of beamformed channel data on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from edgerecon.cli.tables.screen import print_table

if TYPE_CHECKING:
    from edgerecon.quality.evaluate.channel_data import ChannelEvaluation

_LINES = (
    ("contrast_db", "contrast, dB", 1),
    ("cnr", "CNR", 2),
    ("gcnr", "gCNR", 3),
    ("speckle_snr", "speckle SNR", 2),
    ("ks_distance", "distance from Rayleigh", 3),
    ("ks_p", "p of Rayleigh", 3),
    ("lateral_fwhm_mm", "lateral FWHM, mm", 3),
    ("axial_fwhm_mm", "axial FWHM, mm", 3),
    ("side_lobe_db", "side lobes, dB", 1),
    ("distortion_mm", "distortion, mm", 3),
    ("form_ms", "a picture takes, ms", 1),
)


def print_channel_evaluation(console: Console, result: ChannelEvaluation) -> None:
    """A column a method, a line a measure; a dash where the phantom has nothing to measure it on."""
    first = result.rows[0]
    found = f"{first.wires} wires, {first.cysts} cysts, {len(result.targets.speckle)} regions of speckle"
    how = "given" if result.targets.given else "found"
    table = Table(title=f"{result.source}: {found}, {how}")
    table.add_column("")
    for row in result.rows:
        table.add_column(row.method, justify="right")
    for key, label, digits in _LINES:
        values = [getattr(row, key) for row in result.rows]
        table.add_row(label, *("–" if value != value else f"{value:.{digits}f}" for value in values))
    print_table(console, table)

"""An evaluation on the screen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edgerecon.cli.tables.screen import fit, print_table

if TYPE_CHECKING:
    from edgerecon.measure.bootstrap import Interval
    from edgerecon.quality.evaluate.evaluation import Evaluation

HEADINGS = {
    "mse": "MSE", "psnr": "PSNR dB", "psnr_db": "PSNR dB", "ssim": "SSIM", "vif": "VIF",
    "speckle_snr": "speckle SNR", "snr_ratio": "over input", "edge": "edges", "cnr": "CNR", "gcnr": "gCNR",
    "gcnr_change": "gCNR change", "fwhm_px": "FWHM px",
}  # fmt: skip


def print_evaluation(console: Console, result: Evaluation) -> None:
    """The table of methods, the model's advantage and what a reader has to know."""
    names = list(dict.fromkeys(name for line in result.table for name in line.measures))
    table = _measured(result, names, with_interval=True)
    if fit(console, table, spare := [HEADINGS.get(name, name) for name in reversed(names)]):
        table = _measured(result, names, with_interval=False)  # shorter figures before fewer
    print_table(console, table, spare)
    for measure, gain in result.advantage.items():
        text = f"{gain['mean']:+.3f}{_bounds(gain, '+.3f')}"
        console.print(f"{HEADINGS.get(measure, measure)} over {gain['over']}: {text}")
    place = result.tradeoff or {}
    if "advantage_percent" in place:
        at, gain = place["model"], place["advantage_percent"]
        console.print(
            "No speckle SNR, and so no advantage: no speckle was found where it was looked for"
            if math.isnan(gain["mean"])
            else f"Speckle SNR ×{at['snr_ratio']:.2f} at edge preservation {at['edge']:.3f}, where the best classical "
            f"filter reaches ×{place['classical_at_edge']:.2f}: {gain['mean']:+.1f} %{_bounds(gain, '+.1f')}"
        )
    for note in result.notes:
        console.print(f"Note: {note}", style="dim", markup=False)
    console.print(f"{result.seconds:.0f} s", style="dim")


def _measured(result: Evaluation, names: Sequence[str], with_interval: bool) -> Table:
    title = f"{result.model} on {result.data} ({result.backend}, {result.precision})"
    table = Table(title=escape(title), caption=None if with_interval else "too narrow for the intervals")
    table.add_column("method")
    for name in names:
        table.add_column(HEADINGS.get(name, name), justify="right", no_wrap=True)
    for line in result.table:
        label = " ".join([line.method, *(f"{key}={value:g}" for key, value in line.parameters.items())])
        table.add_row(escape(label), *(_figure(line.measures.get(name), with_interval) for name in names))
    return table


def _figure(value: Interval | None, with_interval: bool) -> str:
    if value is None or value["mean"] != value["mean"]:
        return "–"
    half = (value["high"] - value["low"]) / 2
    return f"{value['mean']:.3f}" + (f" ± {half:.3f}" if with_interval and half == half else "")


def _bounds(gain: Mapping[str, float], digits: str) -> str:
    """The interval in brackets; "" where one file or pair gives none."""
    if math.isnan(gain["low"]):
        return ""
    return f" (95 % interval {gain['low']:{digits}} to {gain['high']:{digits}})"

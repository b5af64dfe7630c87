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
    "mse": "MSE",
    "psnr": "PSNR dB",
    "psnr_db": "PSNR dB",
    "ssim": "SSIM",
    "vif": "VIF",
    "speckle_snr": "speckle SNR",
    "snr_ratio": "over input",
    "edge": "edges",
    "cnr": "CNR",
    "gcnr": "gCNR",
    "gcnr_change": "gCNR change",
    "fwhm_px": "FWHM px",
    "psnr_unmatched_db": "PSNR dB",
    "ssim_unmatched": "SSIM",
    "ms": "ms",
}
"""Headings of columns that are no record of ``quality.measures``."""
UNMATCHED = ("psnr_unmatched_db", "ssim_unmatched", "ms")
"""Figures beside the records of ``quality.measures`` that are not gain-matched."""


def print_evaluation(console: Console, result: Evaluation) -> None:
    """The table of methods, the model's own, its advantage and what a reader has to know."""
    from edgerecon.quality.measures.measure import measures

    names = list(dict.fromkeys(name for line in result.table for name in line.measures))
    known = measures()
    main = [name for name in names if name in UNMATCHED or (name in known and known[name].main)]
    old = [name for name in names if name not in known and name not in UNMATCHED]
    of = f"{result.model} on {result.data} ({result.backend}, {result.precision})"
    _print_methods(console, result, main, of)
    if any(name in known for name in names):
        print_table(console, _model_table(result), [])
    _print_methods(console, result, old, f"{of}, gain-matched (for one more release)" if main else of)
    place = result.front or {}
    if "classical_structure" in place:
        at = place["model"]
        console.print(
            f"Structure kept {at['structure']:.2f} at speckle left {at['speckle_left']:.2f}, where the classical front "
            f"keeps {place['classical_structure']:.2f}"
        )
    for measure, gain in result.advantage.items():
        text = f"{gain['mean']:+.3f}{_bounds(gain, '+.3f')}"
        console.print(f"{HEADINGS.get(measure, measure)} over {gain['over']}: {text}")
    place = result.tradeoff or {}
    if "advantage_percent" in place:
        at, gain = place["model"], place["advantage_percent"]
        console.print(
            "No speckle SNR, and so no advantage: no speckle was found where it was looked for"
            if math.isnan(gain["mean"])
            else f"Gain-matched: speckle SNR ×{at['snr_ratio']:.2f} at edge preservation {at['edge']:.3f}, where "
            f"the best classical filter reaches ×{place['classical_at_edge']:.2f}: "
            f"{gain['mean']:+.1f} %{_bounds(gain, '+.1f')}"
        )
    for note in result.notes:
        console.print(f"Note: {note}", style="dim", markup=False)
    console.print(f"{result.seconds:.0f} s", style="dim")


def _print_methods(console: Console, result: Evaluation, names: Sequence[str], title: str) -> None:
    """One line a method, as many figures as fit."""
    if not names:
        return
    table = _measured(result, names, title, with_interval=True)
    if fit(console, table, spare := [_heading(name) for name in reversed(names)]):
        table = _measured(result, names, title, with_interval=False)  # shorter figures before fewer
    print_table(console, table, spare)


def _model_table(result: Evaluation) -> Table:
    """Every measure of the picture, one a line."""
    from edgerecon.quality.measures.measure import measures

    best = {"higher": "higher", "lower": "lower", "one": "near 1", "zero": "near 0"}
    found = result.line("model").measures
    table = Table(title=escape(f"{result.model}, every measure of the picture"))
    for name in ("measure", "figure", "better"):
        table.add_column(name, justify="right" if name == "figure" else "left")
    for key, one in measures().items():
        if key in found:
            table.add_row(escape(one.heading), _figure(found[key], True, one.digits), best[one.better])
    return table


def _heading(name: str) -> str:
    from edgerecon.quality.measures.measure import measures

    known = measures().get(name)
    return known.label if known else HEADINGS.get(name, name)


def _measured(result: Evaluation, names: Sequence[str], title: str, with_interval: bool) -> Table:
    table = Table(title=escape(title), caption=None if with_interval else "too narrow for the intervals")
    table.add_column("method")
    for name in names:
        table.add_column(_heading(name), justify="right", no_wrap=True)
    for line in result.table:
        label = " ".join([line.method, *(f"{key}={value:g}" for key, value in line.parameters.items())])
        table.add_row(escape(label), *(_figure(line.measures.get(name), with_interval) for name in names))
    return table


def _figure(value: Interval | None, with_interval: bool, digits: int = 3) -> str:
    if value is None or value["mean"] != value["mean"]:
        return "–"
    half = (value["high"] - value["low"]) / 2
    return f"{value['mean']:.{digits}f}" + (f" ± {half:.{digits}f}" if with_interval and half == half else "")


def _bounds(gain: Mapping[str, float], digits: str) -> str:
    """The interval in brackets; "" where one file or pair gives none."""
    if math.isnan(gain["low"]):
        return ""
    return f" (95 % interval {gain['low']:{digits}} to {gain['high']:{digits}})"

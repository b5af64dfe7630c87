"""What fits a deadline, on the screen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from edgerecon.cli.tables.screen import print_table

if TYPE_CHECKING:
    from edgerecon.deploy.fit.fit import Fit
    from edgerecon.deploy.fit.fit_bound import BoundFit


def print_fit(console: Console, found: Fit) -> None:
    """The front, what was streamed, the choice, and how many candidates there were."""
    from edgerecon.deploy.fit.fit_page import sentence, streamed_text

    size = f"{found.shape[0]}×{found.shape[1]}"
    table = Table(
        title="Pareto front: nothing is both faster and better",
        caption=f"{len(found.tried)} candidates and {len(found.untrained)} not trained, {size}; "
        "p50 back to back, p99 streamed",
    )
    for heading in ("candidate", "SSIM", "PSNR dB", "gCNR", "p50 ms", "p99 ms"):
        table.add_column(heading, justify="left" if heading == "candidate" else "right", no_wrap=True)
    shown = [one for one in found.tried if one in found.front or one.streamed_p99_ms is not None]
    for one in shown:
        figures = (one.candidate.ssim, one.candidate.psnr_db, one.candidate.gcnr)
        table.add_row(one.candidate.name, *map(_known, figures), f"{one.ms:.2f}", streamed_text(one))
    for one in (one for one in found.untrained if one.ms < found.requirement.deadline_ms):
        table.add_row(one.candidate.name, "not trained", "", "", f"{one.ms:.2f}", streamed_text(one))
    print_table(console, table, ("gCNR", "PSNR dB", "SSIM"))
    console.print(sentence(found))


def _known(figure: float) -> str:
    """A recorded figure of quality; nothing where the file states none, as an adopted one."""
    return "" if math.isnan(figure) else f"{figure:.3f}"


def print_bounds(console: Console, found: BoundFit) -> None:
    """Every model with its bound."""
    table = Table(title=f"{found.device}: roofline bounds, not measurements")
    for heading in ("model", "precision", "SSIM", "at least, ms", "binds", "within the deadline"):
        table.add_column(heading, no_wrap=heading in ("SSIM", "precision"))
    for one in found.bounds:
        table.add_row(
            one.model,
            one.precision,
            _known(one.ssim),
            f"{one.roofline.ms:.3g}",
            one.roofline.binds,
            "not ruled out" if one in found.possible else "no",
        )
    print_table(console, table, ("binds", "SSIM", "precision"))
    console.print(found.sentence)

"""What was found of a foreign network, on the screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from edgerecon.deploy.adopt.adopt import Adoption


def print_adoption(console: Console, adoption: Adoption) -> None:
    """One line for each thing that was found, and one for each runtime."""
    table = Table(caption=f"Parity run: {adoption.max_abs_error:.1e} of full scale between the file and the network")
    for heading in ("what", "found", "how sure", "why"):
        table.add_column(heading, no_wrap=heading == "what")
    for one in adoption.findings:
        table.add_row(one.what, one.found, one.sure, one.why)
    for name, state in adoption.runs_on.items():
        table.add_row("runtime", name, "ok" if state == "ok" else "no", "" if state == "ok" else state)
    console.print(table)

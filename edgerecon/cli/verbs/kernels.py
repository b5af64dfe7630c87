"""The verbs of the toolkit's own kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgerecon.cli.verbs.output import check_folder, console
from edgerecon.core.errors import UsageError

app = typer.Typer(help="The toolkit's own kernels.", no_args_is_help=True)


@app.callback()
def _verbs() -> None:
    """The toolkit's own kernels."""


@app.command()
def build(
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for NAME.fatbin as well; default: the cache alone.")
    ] = None,
    cpu: Annotated[
        bool, typer.Option("--cpu", help="Build for this processor instead, with the system's C++ compiler.")
    ] = False,
) -> None:
    """Compile every kernel for all supported GPUs, or for this CPU; what is built and has not changed is kept."""
    if cpu:
        build_for_cpu(out)
        return
    from edgerecon.cuda.kernels.compile import kernel_files
    from edgerecon.cuda.kernels.store import export, obtain

    check_folder(out)
    screen = console()
    for name in kernel_files():
        stored = obtain(name)
        path = export(stored, out) if out else stored.path
        screen.say(f"{path}  {len(stored.content) / 1000:.0f} kB  nvcc {stored.toolkit}")


def build_for_cpu(out: Path | None) -> None:
    """The library of the engine ``native``, in the cache."""
    from edgerecon.cpu.library import Library
    from edgerecon.cpu.store import build

    if out:
        raise UsageError("--out takes the GPU's kernels only: the CPU's are kept in the cache")
    stored = build()
    sets = ", ".join(Library(stored).instruction_sets())
    console().say(f"{stored.path}  {len(stored.content) / 1000:.0f} kB  {sets}  {stored.compiler}")

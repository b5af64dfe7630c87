"""The verbs of the CUDA kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgerecon.cli.verbs.output import check_folder, console

app = typer.Typer(help="The toolkit's own CUDA kernels.", no_args_is_help=True)


@app.callback()
def _verbs() -> None:
    """The toolkit's own CUDA kernels."""


@app.command()
def build(
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Folder for NAME.fatbin as well; default: the cache alone.")
    ] = None,
) -> None:
    """Compile every kernel for all supported GPUs; what is built and has not changed is kept."""
    from edgerecon.cuda.kernels.compile import kernel_files
    from edgerecon.cuda.kernels.store import export, obtain

    check_folder(out)
    screen = console()
    for name in kernel_files():
        stored = obtain(name)
        path = export(stored, out) if out else stored.path
        screen.say(f"{path}  {len(stored.content) / 1000:.0f} kB  nvcc {stored.toolkit}")

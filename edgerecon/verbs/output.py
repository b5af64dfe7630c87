"""What the verbs share: the screen, --json, and how an interrupted run leaves."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgerecon.errors import EdgereconError

if TYPE_CHECKING:
    from rich.console import Console

Json = Annotated[Path | None, typer.Option("--json", help="Also write the result as JSON.")]

INTERRUPTED = 130


def console() -> Console:
    """Where tables and bars go."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 140)  # a file does not fold tables


def check_json(path: Path | None) -> None:
    """Refuse a place that cannot be written before the work, not after it."""
    import os

    writable = path is None or (path.parent.is_dir() and os.access(path.parent, os.W_OK) and not path.is_dir())
    if not writable:
        raise EdgereconError(f"cannot write {path}: give a file in a folder that exists and can be written")


def write_json(path: Path | None, content: Any) -> None:
    """Whole or not at all; None writes nothing."""
    if path is None:
        return
    import json
    import os

    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(json.dumps(content, indent=2) + "\n")
        os.replace(part, path)
    except OSError as error:
        raise EdgereconError(f"cannot write {path}: {error.strerror or error}") from None


def leave_if_interrupted(flag: bool) -> None:
    """The exit status of Ctrl-C, once everything is written."""
    if flag:
        raise typer.Exit(INTERRUPTED)

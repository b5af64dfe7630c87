"""What the verbs share: the screen, --json, and how an interrupted run leaves."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgerecon.core.errors import EdgereconError, UsageError, printable
from edgerecon.core.files import write

if TYPE_CHECKING:
    from edgerecon.cli.tables.screen import Screen

Json = Annotated[Path | None, typer.Option("--json", help="Also write the result as JSON; - is standard output.")]

INTERRUPTED = 130
_JSON = re.compile(rb"\s*($|\{|\[[\s\[]*[]{\"0-9-])")
"""How it begins: a table of TOML is no list."""
_FILES = (".csv", ".htm", ".html", ".json", ".md", ".pdf", ".png", ".svg", ".tsv", ".xlsx")
_NARROWEST = 20
"""Of what COLUMNS may say: nothing can be read on less."""


def console(json: Path | None = None) -> Screen:
    """Where tables and bars go: standard output, unless ``--json -`` wants it for itself."""
    from edgerecon.cli.tables.screen import Screen

    apart = _is_stdout(json)
    stream = sys.stderr if apart else sys.stdout
    return Screen(stderr=apart, highlight=False, width=_width(stream.isatty()))


def _width(terminal: bool) -> int | None:
    """COLUMNS where it is given, even to a file; else the terminal's own (None), or wide enough to fold no table."""
    import os

    columns = os.environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and int(columns) >= _NARROWEST:
        return int(columns)
    return None if terminal else 140


def say(text: str, json: Path | None = None) -> None:
    """One line, where tables go."""
    typer.echo("\n".join(map(printable, text.split("\n"))), err=_is_stdout(json))


def check_json(path: Path | None) -> None:
    """Before the work, refuse a place that cannot be written, and a name of another format or content than JSON."""
    check_name(path, "JSON", ".json")
    _check_writable(path)
    if path is not None and path.is_file() and not _holds_json(path):
        raise UsageError(f"{path} is there and holds something else than JSON: give another name")


def check_name(path: Path | None, what: str, *suffixes: str) -> None:
    """Refuse a name that promises another format of figures or pictures. Raises UsageError."""
    if path is not None and path.suffix.lower() in _FILES and path.suffix.lower() not in suffixes:
        raise UsageError(f"{path} would hold {what}: give a name that ends in {' or '.join(suffixes)}")


def _holds_json(path: Path) -> bool:
    """Whether a file begins as figures do, or is empty: what a verb reads is never replaced by what it found out."""
    try:
        with path.open("rb") as file:
            return _JSON.match(file.read(64)) is not None
    except OSError:
        return True  # write-only, say


def _check_writable(path: Path | None) -> None:
    import os

    if path is None or _is_stdout(path):
        return
    place = path if _is_special(path) else path.parent
    if path.is_dir() or not (place is path or place.is_dir()) or not os.access(place, os.W_OK):
        raise EdgereconError(f"cannot write {path}: give a file in a folder that exists and can be written")


def check_out(path: Path | None, suffix: str, what: str) -> None:
    """Refuse a file whose name promises another format than it would hold, and what cannot be written.

    Args:
        suffix: of what is written, e.g. ".html". what: that is, e.g. "a page".

    Raises:
        UsageError: another suffix, or none. EdgereconError: it cannot be written there.
    """
    if path is not None and not _is_special(path) and not path.name.lower().endswith(suffix):
        raise UsageError(f"{path} would hold {what}: give a name that ends in {suffix} (figures are in --json PATH)")
    _check_writable(path)


def check_folder(path: Path | None) -> None:
    """Refuse a folder that is named like a file of figures or pictures. Raises UsageError."""
    if path is not None and path.suffix.lower() in _FILES:
        raise UsageError(f"{path} would be a folder: give a name without {path.suffix} (figures are in --json PATH)")


def write_json(path: Path | None, content: Any) -> None:
    """Whole or not at all; None writes nothing."""
    if path is None:
        return
    import json

    text = json.dumps(content, indent=2) + "\n"
    if _is_stdout(path):
        sys.stdout.write(text)
    elif _is_special(path):
        try:
            path.write_text(text)
        except OSError as error:
            raise EdgereconError(f"cannot write {path}: {error.strerror or error}") from None
    else:
        write(path, text.encode())


def _is_stdout(path: Path | None) -> bool:
    return path is not None and str(path) == "-"


def _is_special(path: Path) -> bool:
    """A pipe or a device, e.g. /dev/null: to be written to, not replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()


def leave_if_interrupted(flag: bool) -> None:
    """The exit status of Ctrl-C, once everything is written."""
    if flag:
        raise typer.Exit(INTERRUPTED)

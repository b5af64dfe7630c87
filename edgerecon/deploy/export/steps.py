"""A chain of steps, each of which runs again only when something it depends on has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgerecon.core import __version__
from edgerecon.core.checksums import sha256
from edgerecon.core.errors import EdgereconError
from edgerecon.core.files import write
from edgerecon.core.json import parse

LEDGER = "steps.json"
Facts = dict[str, Any]


class Steps:
    """The steps of one chain, whose files lie in one folder beside a ledger of what made them.

    A step is skipped when its inputs are those of its last complete run and its files are still as it left them, so an
    interrupted or changed chain goes on where it has to and nothing half-written is taken for done.

    Args:
        folder: made when absent. on_step: called with (name, "runs" or "unchanged").
    """

    def __init__(self, folder: Path, on_step: Callable[[str, str], None] | None = None) -> None:
        self.folder = folder
        self._on_step = on_step or (lambda name, state: None)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EdgereconError(f"cannot write to {folder}: {error.strerror or error}") from None
        self._ledger = _read(folder / LEDGER)

    def run(self, name: str, inputs: Mapping[str, Any], files: Sequence[str], work: Callable[[], Facts]) -> Facts:
        """Do a step, or take over what it found the last time.

        Args:
            inputs: everything that decides the outcome, ready for JSON; files by their hash.
            files: names in the folder that the step writes. work: writes them and returns its facts, ready for JSON.
        """
        key = sha256(json.dumps([__version__, inputs], sort_keys=True).encode())
        done = self._ledger.get(name)
        if done and done["key"] == key and all(self.hash_of(file) == kept for file, kept in done["files"].items()):
            self._on_step(name, "unchanged")
            return dict(done["facts"])
        self._on_step(name, "runs")
        self._ledger.pop(name, None)
        facts = work()
        hashes = {file: self.hash_of(file) for file in files}
        self._ledger[name] = {"key": key, "files": hashes, "facts": facts}
        write(self.folder / LEDGER, json.dumps(self._ledger, indent=2).encode())
        return facts

    def hash_of(self, file: str) -> str | None:
        """SHA-256 of a file in the folder; None when it is not there."""
        return file_hash(self.folder / file)


def file_hash(path: Path) -> str | None:
    """SHA-256 of a file; None when it cannot be read."""
    try:
        with path.open("rb") as file:
            return (
                hashlib.file_digest(file, "sha256").hexdigest()
                if hasattr(hashlib, "file_digest")
                else sha256(file.read())
            )
    except OSError:
        return None


def _read(path: Path) -> dict[str, Any]:
    try:
        ledger = parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # absent or damaged: every step runs again
        return {}
    return ledger if isinstance(ledger, dict) else {}

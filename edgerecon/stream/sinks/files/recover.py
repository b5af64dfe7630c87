"""Makes files of recordings that were cut off, by a kill, a power failure or a full disk."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from edgerecon.core.errors import EdgereconError, UsageError
from edgerecon.stream.sinks.files.file_sink import FileSink
from edgerecon.stream.sinks.files.part import Leftover, leftovers
from edgerecon.stream.sinks.files.spool import stored_query
from edgerecon.stream.sinks.kind import kind_of
from edgerecon.stream.sources.query import Query, refuse_unknown

_BESIDE = (".spool", ".whole", ".plain")
"""What may lie beside a ``.part``."""


@dataclass(frozen=True)
class Recovered:
    """What became of one recording that was cut off.

    Attributes:
        cut: as it was found. path: the file that it became, or None. frames: in it.
        fault: why it could not be recovered, or None; it stays where it is then.
    """

    cut: Path
    path: Path | None
    frames: int
    fault: str | None


def recover(folder: Path) -> list[Recovered]:
    """Finish each recording of a folder that was cut off as ``NAME.partial.SUFFIX``. What is still written stays.

    Raises:
        UsageError: not a folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder: give the one that the recording lies in")
    return [_recovered(cut) for cut in leftovers(folder)]


def _recovered(cut: Leftover) -> Recovered:
    target = _free_name(cut.path.with_name(cut.name))
    try:
        frames = _sink(target, stored_query(cut.path)).recover(cut.path)
    except (EdgereconError, OSError) as error:
        return Recovered(cut.path, None, 0, str(error))
    if cut.path.is_dir():
        shutil.rmtree(cut.path)
    for left in (cut.path, *(cut.path.with_suffix(suffix) for suffix in _BESIDE)):
        left.unlink(missing_ok=True)
    return Recovered(cut.path, target, frames, None)


def _sink(path: Path, query: Query) -> FileSink:
    """Raises UsageError for a recording of a kind that is not known, or whose sink cannot recover one."""
    kind = kind_of(path.name)
    if kind is None:
        raise UsageError(f"no kind of recording ends in {path.suffix}: install the package that wrote it")
    if kind.options is not None:
        refuse_unknown(query, kind.options, kind.title)
    sink = kind.open(str(path.absolute()), query)
    if not isinstance(sink, FileSink):
        raise UsageError(f"{kind.title} cannot be recovered: read {path.name} by its own tools")
    return sink


def _free_name(final: Path) -> Path:
    """``out.mp4`` → ``out.partial.mp4``, or ``out.partial-2.mp4`` …"""
    number = 1
    while True:
        again = f"-{number}" if number > 1 else ""
        path = final.with_name(f"{final.stem}.partial{again}{final.suffix}")
        if not path.exists():
            return path
        number += 1

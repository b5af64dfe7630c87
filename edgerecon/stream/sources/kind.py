"""What a source says of itself: one record at the end of its file, from which every list of sources is made."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from edgerecon.core.errors import SourceError
from edgerecon.core.records import Records
from edgerecon.stream.sources.base import Source
from edgerecon.stream.sources.query import Query

if TYPE_CHECKING:
    import h5py

GROUP = "edgerecon.sources"
"""Entry points of other packages: ``name = "module:SOURCE"``."""

FOLDERS = tuple(f"edgerecon.stream.sources.{name}" for name in ("files", "channel", "live"))


@dataclass(frozen=True)
class SourceKind:
    """One kind of source: a recording's format, or a live source.

    Attributes:
        name: as lists spell it. title: with its article, as sentences spell it.
        open: (place, options) → source. The place is the absolute path of a file or folder, one of ``words``, or an
            address without its options. Raises SourceError, UsageError, DependencyError.
        magic: bytes that files of the kind begin with, or (offset, bytes).
        endings: of file names, in small letters; they decide where no magic does.
        words: names that stand for a source of the kind, such as "sample".
        schemes: of addresses; sources of a kind that has some are live.
        addresses: how an address is written, for people.
        options: what may follow ``?``. None: what follows belongs to the address, and ``open`` gets it as it is.
        holds: of an HDF5 file: whether its content is of this kind.
        folders: whether it takes a folder. fallback: whether it takes a file that no other kind recognises.
    """

    name: str
    title: str
    open: Callable[[str, Query], Source]
    magic: tuple[bytes | tuple[int, bytes], ...] = ()
    endings: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    options: tuple[str, ...] | None = ()
    holds: Callable[[h5py.File], bool] | None = None
    folders: bool = False
    fallback: bool = False

    def recognises(self, beginning: bytes) -> int:
        """Where the furthest magic found in a file's first bytes ends; 0 when there is none."""
        places = [(0, magic) if isinstance(magic, bytes) else magic for magic in self.magic]
        return max((at + len(magic) for at, magic in places if beginning[at:].startswith(magic)), default=0)

    @property
    def magic_bytes(self) -> int:
        """How many bytes of a file ``recognises`` may need."""
        return max((len(one) if isinstance(one, bytes) else one[0] + len(one[1]) for one in self.magic), default=0)


@cache
def source_kinds() -> Mapping[str, SourceKind]:
    """Every kind of source by name: those of this package, then those of other packages."""
    return Records(SourceKind, "SOURCE", FOLDERS, GROUP)


def known_recordings() -> str:
    """What ``open_source`` reads from disks, for messages."""
    kinds = source_kinds().values()
    names = sorted((kind.name for kind in kinds if kind.magic or kind.endings), key=str.lower)
    names += [f"'{word}'" for kind in kinds for word in kind.words]
    return f"{', '.join(names[:-1])} or {names[-1]}"


def schemes() -> list[str]:
    """Of live sources."""
    return sorted(scheme for kind in source_kinds().values() for scheme in kind.schemes)


def known_addresses() -> str:
    """How live sources are written, for help."""
    return ", ".join(sorted(address for kind in source_kinds().values() for address in kind.addresses))


def is_live(uri: str) -> bool:
    """Whether an address is that of a live source."""
    return kind_of_address(uri) is not None


def kind_of_address(uri: str) -> SourceKind | None:
    """The kind that knows the scheme of an address; None for one that no kind knows, and for paths."""
    scheme, is_address, _ = uri.partition("://")
    if not is_address or scheme == "file":
        return None
    return next((kind for kind in source_kinds().values() if scheme.lower() in kind.schemes), None)


def kind_of_file(path: Path) -> SourceKind:
    """The kind of a recording: by its first bytes, then by what an HDF5 file holds, then by the ending of its name.

    Where several kinds know the first bytes, the longest magic decides, then the ending.

    Raises:
        SourceError: it does not exist, is empty, or is neither a file nor a folder.
        DependencyError: h5py is needed and absent.
    """
    kinds, ending = source_kinds().values(), path.suffix.lower()
    if path.is_dir():
        return _best([kind for kind in kinds if kind.folders], ending)
    beginning = _beginning(path, max(kind.magic_bytes for kind in kinds))
    furthest = max(kind.recognises(beginning) for kind in kinds)
    if not furthest:
        return _best([kind for kind in kinds if ending in kind.endings or kind.fallback], ending)
    alike = [kind for kind in kinds if kind.recognises(beginning) == furthest]
    layouts = [kind for kind in alike if kind.holds is not None]
    found = _layout(path, layouts) if layouts else None
    others = [kind for kind in alike if kind not in layouts]
    return found or _best(others or [kind for kind in kinds if kind.fallback], ending)


def _best(kinds: Iterable[SourceKind], ending: str) -> SourceKind:
    return min(kinds, key=lambda kind: (ending not in kind.endings, kind.fallback))


def _layout(path: Path, kinds: Iterable[SourceKind]) -> SourceKind | None:
    from edgerecon.stream.sources.hdf5_file import one_line_errors, opened, refuse_other_files

    with one_line_errors(path.name), opened(path) as file:
        refuse_other_files(file)
        return next((kind for kind in kinds if kind.holds is not None and kind.holds(file)), None)


def _beginning(path: Path, count: int) -> bytes:
    if path.is_symlink() and not path.exists():
        raise SourceError(f"{path} is a link to {os.readlink(path)}, which is not there (of git-annex: git annex get)")
    if not path.exists():
        raise SourceError(f"{path} does not exist: give a file ({known_recordings()})")
    if not path.is_file():
        raise SourceError(f"{path} is neither a file nor a folder")
    with path.open("rb") as file:
        beginning = file.read(count)
    if not beginning:
        raise SourceError(f"{path} is empty (0 bytes)")
    return beginning

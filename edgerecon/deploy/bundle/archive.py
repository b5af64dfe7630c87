"""The archive of a bundle: plain files in a gzip-compressed POSIX.1-1988 tar (ustar), read without trust.

Headers are taken one block at a time, so that a link, a device, a folder, a sparse file or an extension header (GNU or
pax, which can rename and resize what follows) is refused where it stands and never interpreted. ``SHA256SUMS`` lists
every other file. It proves that the archive is whole, not who made it: take bundles from where you trust. All files lie
in one folder, so that unpacking by hand scatters nothing.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edgerecon.core.checksums import SUMS, parse_sums, sha256, write_sums
from edgerecon.core.errors import EdgereconError
from edgerecon.core.files import sync_folder, write

CONFIG = "config.json"
MAX_FILES = 256
MAX_MEMBER = 512 << 20
MAX_TOTAL = 1 << 30
_MAX_TEXT = 1 << 20
_BLOCK = tarfile.BLOCKSIZE
_CHUNK = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*(/[A-Za-z0-9][A-Za-z0-9._+-]*){0,3}")
_MAX_NAME = 255  # what a ustar header holds: a name of 100 characters behind folders of 155
_KINDS = {
    tarfile.DIRTYPE: "a folder",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a FIFO",
}


class BundleError(EdgereconError):
    """A bundle is damaged, hostile or not a bundle, or it cannot be installed where it was asked."""


@dataclass(frozen=True)
class Member:
    """One file of an archive: relative POSIX name, size in bytes, and its content, to be read before the next one."""

    name: str
    size: int
    chunks: Iterator[bytes]


@dataclass(frozen=True)
class Contents:
    """What a verified archive holds.

    Attributes:
        sums: name → SHA-256 in hex, of every file but SHA256SUMS. total: bytes of all files.
        config: content of config.json. digest: SHA-256 of SHA256SUMS, which identifies the whole.
        top: the folder that all names begin with in the archive and none in ``sums``, e.g. "tiny/"; "" without one.
    """

    sums: dict[str, str]
    total: int
    config: bytes
    digest: str
    top: str = ""


def write_archive(path: Path, files: Mapping[str, bytes], top: str = "") -> str:
    """Write files and their SHA256SUMS; the same files give the same bytes (with the same zlib).

    Args:
        top: folder to put all of them into, e.g. "tiny-0.1.0".

    Returns:
        SHA-256 of the archive, in hex.

    Raises:
        BundleError: a name or size that ``verify`` would refuse. EdgereconError: the archive cannot be written.
    """
    whole = {**files, SUMS: write_sums(files)}
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, content in sorted(whole.items()):
            info = tarfile.TarInfo(f"{top}/{name}" if top else name)
            info.size, info.mode = len(content), _mode(name)
            try:
                archive.addfile(info, io.BytesIO(content))
            except ValueError as error:
                raise BundleError(f"{name} does not fit into a bundle: {error}") from None
    packed.seek(0)
    verify(packed)
    content = packed.getvalue()
    write(path, content)
    return sha256(content)


def verify(file: BinaryIO) -> Contents:
    """Read a whole archive and check every name, kind, size and hash; nothing is written.

    Raises:
        BundleError: not a bundle, truncated or damaged; an unsafe, duplicate, missing or extra name; anything but a
            plain file; too many or too large files; a hash that differs.
    """
    found: dict[str, str] = {}
    texts: dict[str, bytes] = {}
    total = 0
    for member in members(file):
        digest, text = hashlib.sha256(), bytearray()
        keep = member.name.count("/") <= 1 and member.name.rpartition("/")[2] in (SUMS, CONFIG)
        if keep and member.size > _MAX_TEXT:
            raise BundleError(f"the bundle's {member.name} is too large ({member.size >> 20} MB)")
        for chunk in member.chunks:
            digest.update(chunk)
            if keep:
                text += chunk
        found[member.name] = digest.hexdigest()
        texts[member.name] = bytes(text)
        total += member.size
    top = _top_of(found)
    found = {name.removeprefix(top): digest for name, digest in found.items()}
    texts = {name.removeprefix(top): text for name, text in texts.items()}
    for name in (SUMS, CONFIG):
        if name not in found:
            raise BundleError(f"this is no bundle of edgerecon: it holds no {name}")
    sums = _listed(texts[SUMS])
    _compare({name: value for name, value in found.items() if name != SUMS}, sums)
    return Contents(sums, total, texts[CONFIG], found[SUMS], top)


def _top_of(names: Iterable[str]) -> str:
    """The one folder, with its slash, that every file lies in; "" where there is none."""
    tops = {name.partition("/")[0] if "/" in name else "" for name in names}
    return f"{tops.pop()}/" if len(tops) == 1 and "" not in tops else ""


def unpack(file: BinaryIO, folder: Path, sums: Mapping[str, str], top: str = "") -> None:
    """Write the files of a verified archive into an empty folder, hashing again what is written.

    Args:
        sums, top: see ``Contents``; what is written has its name without ``top``.

    Raises:
        BundleError: the archive is not what ``verify`` saw. OSError: the folder cannot be written.
    """
    written: dict[str, str] = {}
    for member in members(file):
        name = member.name.removeprefix(top)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with path.open("xb") as output:
            for chunk in member.chunks:
                digest.update(chunk)
                output.write(chunk)
            if hasattr(os, "fchmod"):
                os.fchmod(output.fileno(), _mode(name))
            output.flush()
            os.fsync(output.fileno())
        written[name] = digest.hexdigest()
    if {name: value for name, value in written.items() if name != SUMS} != sums:
        raise BundleError("the bundle changed while it was read: copy it again")
    for place in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        place.chmod(0o755)  # an installation serves other users, whatever the installer's umask
        sync_folder(place)


def is_intact(folder: Path, contents: Contents) -> bool:
    """Whether a folder holds exactly the files of an archive, unchanged."""
    try:
        paths = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
        if not all(path.is_file() and not path.is_symlink() for path in paths):
            return False
        found = {path.relative_to(folder).as_posix(): hash_file(path) for path in paths}
    except OSError:
        return False
    return found == {**contents.sums, SUMS: contents.digest}


def hash_file(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def members(file: BinaryIO) -> Iterator[Member]:
    """The files of an archive in order, from its start.

    Raises:
        BundleError: see ``verify``, hashes excepted.
    """
    file.seek(0)
    stream = _Stream(file)
    names: set[str] = set()
    while (header := stream.take(_BLOCK)) != bytes(_BLOCK):
        info = _plain_file(header)
        _check_name(info.name, names)
        chunks = stream.chunks(info.size)
        yield Member(info.name, info.size, chunks)
        for _ in chunks:  # what the caller did not read
            pass
        stream.take(-info.size % _BLOCK)
    stream.end()


class _Stream:
    """What gzip gives, in exact amounts and never more than a bundle may hold."""

    def __init__(self, file: BinaryIO) -> None:
        self._gzip = gzip.GzipFile(fileobj=file, mode="rb")
        self._left = MAX_TOTAL

    def take(self, size: int) -> bytes:
        data = self._read(size)
        if len(data) != size:
            raise BundleError("the bundle is truncated: copy it again")
        return data

    def chunks(self, size: int) -> Iterator[bytes]:
        while size:
            data = self.take(min(size, _CHUNK))
            size -= len(data)
            yield data

    def end(self) -> None:
        """After the first zero block come zeros up to a whole record, and nothing else."""
        taken = MAX_TOTAL - self._left
        rest = self._read(2 * tarfile.RECORDSIZE)
        if len(rest) == 2 * tarfile.RECORDSIZE or any(rest):
            raise BundleError("the bundle has data after its end: copy or make it again")
        if len(rest) < _BLOCK or (taken + len(rest)) % tarfile.RECORDSIZE:
            raise BundleError("the bundle is truncated: copy it again")

    def _read(self, size: int) -> bytes:
        self._left -= size
        if self._left < 0:
            raise BundleError(f"the bundle is too large (limit {MAX_TOTAL >> 20} MB unpacked)")
        try:
            return self._gzip.read(size)
        except EOFError:
            raise BundleError("the bundle is truncated: copy it again") from None
        except (gzip.BadGzipFile, zlib.error):
            raise BundleError("the bundle is not a .tar.gz file, or it is damaged: copy it again") from None
        except OSError as error:
            raise BundleError(f"cannot read the bundle: {error.strerror or error}") from None


def _plain_file(header: bytes) -> tarfile.TarInfo:
    try:
        info = tarfile.TarInfo.frombuf(header, "ascii", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        raise BundleError("the bundle is not a tar archive, or it is damaged: copy it again") from None
    if info.type != tarfile.REGTYPE:
        kind = _KINDS.get(info.type, f"an entry of kind {info.type!r}")
        raise BundleError(f"refused: the bundle holds {kind} ({info.name!r}), and plain files alone are allowed")
    if not 0 <= info.size <= MAX_MEMBER:
        raise BundleError(f"refused: {info.name!r} claims {info.size >> 20} MB (limit {MAX_MEMBER >> 20} MB)")
    return info


def _check_name(name: str, names: set[str]) -> None:
    """Refuse names that could leave the folder, hide, or stand for two things; remember the others."""
    if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
        raise BundleError(f"refused: the bundle holds a file of the unsafe name {name[:_MAX_NAME]!r}")
    if name in names:
        raise BundleError(f"refused: the bundle holds {name!r} twice")
    parts = name.split("/")
    above = {"/".join(parts[:depth]) for depth in range(1, len(parts))}
    if above & names or any(other.startswith(f"{name}/") for other in names):
        raise BundleError(f"refused: the bundle holds {name!r} both as a file and as a folder")
    if len(names) >= MAX_FILES:
        raise BundleError(f"refused: the bundle holds more than {MAX_FILES} files")
    names.add(name)


def _listed(text: bytes) -> dict[str, str]:
    try:
        return parse_sums(text)
    except ValueError as error:
        raise BundleError(f"the bundle's {SUMS} has {error}") from None


def _compare(found: Mapping[str, str], listed: Mapping[str, str]) -> None:
    if missing := sorted(listed.keys() - found.keys()):
        raise BundleError(f"refused: the bundle lacks {missing[0]!r}, which its {SUMS} lists")
    if extra := sorted(found.keys() - listed.keys()):
        raise BundleError(f"refused: the bundle holds {extra[0]!r}, which its {SUMS} does not list")
    if changed := sorted(name for name, digest in found.items() if listed[name] != digest):
        raise BundleError(f"refused: {changed[0]!r} in the bundle does not match its checksum: copy the bundle again")


def _mode(name: str) -> int:
    return 0o755 if name.endswith(".sh") else 0o644

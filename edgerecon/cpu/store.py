"""The built library, known by its sources, by the machine's kind and by the compiler that made it.

It lies in the cache, where it was compiled on this machine, or in the wheel of this machine's processor.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edgerecon.core.cache import cache_folder
from edgerecon.core.errors import EngineError
from edgerecon.core.sealed_file import Refused, read_sealed, write_sealed
from edgerecon.cpu.compile import FLAGS, compile_library, find_compiler, source_folder

SUFFIX = ".cpu-kernels"
_KIND = "cpu-kernels"


@dataclass(frozen=True)
class Stored:
    """A library that is ready to load. ``compiler``: its version; ``path``: the file in the cache."""

    content: bytes
    compiler: str
    path: Path


def build() -> Stored:
    """The library for the sources of this installation: from the cache, else compiled now.

    Raises:
        EngineError: there is no compiler, it refuses, the cache cannot be written, or the sources changed meanwhile.
    """
    compiler, sources = find_compiler(), source_digest()
    path = _folder() / f"edgerecon_cpu.{_digest(sources, compiler.version)}{SUFFIX}"
    if found := _read(path):
        return found
    content = compile_library(compiler)
    if source_digest() != sources:
        raise EngineError("the sources of the CPU kernels changed while they were compiled: build them again")
    seal(path, platform.machine(), compiler.version, content)
    return Stored(content, compiler.version, path)


def seal(path: Path, machine: str, compiler: str, content: bytes) -> None:
    """Write a library for one kind of machine ("x86_64", "aarch64"), made of the sources of this installation.

    Raises:
        EngineError: the folder cannot be written, or there are no sources.
    """
    facts = {"sources": source_digest(), "machine": machine, "compiler": compiler}
    write_sealed(path, _KIND, facts, content)


def find_built() -> Stored | None:
    """The library for these sources and this kind of machine, whichever compiler made it; None before it is built.

    What was built here comes before what the wheel brought.
    """
    paths = [path for folder in _folders() for path in sorted(folder.glob(f"edgerecon_cpu.*{SUFFIX}"))]
    return next((found for path in paths if (found := _read(path))), None)


def source_digest() -> str:
    """Of what decides the library: its sources and the flags.

    Raises:
        EngineError: the installation lacks kernels/cpu.
    """
    digest = hashlib.sha256(repr(FLAGS).encode())
    for path in sorted(source_folder().glob("*.[ch]*")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _read(path: Path) -> Stored | None:
    try:
        facts, content = read_sealed(path, _KIND)
        wanted = (source_digest(), platform.machine())
    except (Refused, EngineError):  # absent, damaged, or an installation without sources
        return None
    if (facts.get("sources"), facts.get("machine")) != wanted:
        return None
    return Stored(content, str(facts["compiler"]), path)


def _digest(sources: str, compiler: str) -> str:
    return hashlib.sha256(f"{sources} {platform.machine()} {compiler}".encode()).hexdigest()[:24]


def _folders() -> Iterator[Path]:
    yield _folder()
    with suppress(EngineError):  # an installation without sources
        yield source_folder().with_name("prebuilt")


def _folder() -> Path:
    return cache_folder() / "kernels"

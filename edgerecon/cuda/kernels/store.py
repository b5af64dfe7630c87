"""Built kernels in the cache, each known by its sources and by the compiler that made it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from edgerecon.core.cache import cache_folder
from edgerecon.core.errors import EngineError, UsageError
from edgerecon.core.sealed_file import Refused, read_sealed, write_sealed
from edgerecon.cuda.kernels.compile import (
    CAPABILITIES,
    FLAGS,
    NO_COMPILER,
    PTX,
    compile_kernel,
    find_compiler,
    kernel_files,
    source_folder,
)

SUFFIX = ".kernels"
_KIND = "kernels"


@dataclass(frozen=True)
class Stored:
    """A fat binary that is ready to load. ``toolkit``: version of the compiler; ``path``: its file in the cache."""

    name: str
    content: bytes
    toolkit: str
    path: Path


def obtain(name: str) -> Stored:
    """The fat binary of kernels/cuda/NAME.cu: from the cache, else built now, which takes seconds.

    A machine without a compiler takes what is in its cache, whichever compiler made it.

    Raises:
        UsageError: no such kernel. EngineError: nvcc refuses, there is none and nothing built of these sources, or the
        sources changed meanwhile.
    """
    sources = source_digest(name)
    try:
        compiler = find_compiler()
    except EngineError:
        for path in sorted(_folder().glob(f"{name}.*{SUFFIX}")):
            if found := _read(name, path, sources):
                return found
        copied = f"or run  edgerecon kernels build  on another machine and copy its {_folder()} here"
        raise EngineError(f"kernel {name} is not built; {NO_COMPILER}; {copied}") from None
    path = _folder() / f"{name}.{_digest(sources, compiler.version)}{SUFFIX}"
    if found := _read(name, path, sources):
        return found
    content = compile_kernel(name, compiler).content
    if source_digest(name) != sources:
        raise EngineError(f"the sources of kernel {name} changed while they were compiled: build it again")
    write_sealed(path, _KIND, {"sources": sources, "toolkit": compiler.version}, content)
    return Stored(name, content, compiler.version, path)


def _read(name: str, path: Path, sources: str) -> Stored | None:
    try:
        facts, content = read_sealed(path, _KIND)
    except Refused:  # absent or damaged: it is built anew
        return None
    return Stored(name, content, str(facts["toolkit"]), path) if facts.get("sources") == sources else None


def source_digest(name: str) -> str:
    """Of what decides the binary: the .cu file, every header beside it, targets and flags.

    Raises:
        UsageError: there is no such .cu file.
    """
    if name not in kernel_files():
        raise UsageError(f"there is no kernel '{name}': choose from {', '.join(kernel_files())}")
    folder = source_folder()
    digest = hashlib.sha256(repr((name, CAPABILITIES, PTX, FLAGS)).encode())
    for path in (folder / f"{name}.cu", *sorted(folder.glob("*.h"))):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _digest(sources: str, toolkit: str) -> str:
    return hashlib.sha256(f"{sources} {toolkit}".encode()).hexdigest()[:24]


def _folder() -> Path:
    return cache_folder() / "kernels"


def export(stored: Stored, folder: Path) -> Path:
    """Write the plain fat binary, NAME.fatbin, for programs that load it by themselves; the folder is made.

    Raises:
        EngineError: it cannot be written.
    """
    path = folder / f"{stored.name}.fatbin"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stored.content)
    except OSError as error:
        raise EngineError(f"cannot write {path}: {error.strerror or error}") from None
    return path

"""The system's C++ compiler: one shared library of kernels/cpu."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgerecon.core.errors import EngineError
from edgerecon.core.shipped import resource_dir

FLAGS = ("-std=c++17", "-O2", "-fPIC", "-shared", "-pthread", "-fvisibility=hidden", "-Wno-psabi")
"""No -march: every instruction set is in the file, one is chosen when it runs."""
NAMES = ("c++", "g++", "clang++")
SECONDS = 3600
"""A small board takes two minutes for what a desktop does in ten seconds; zig compiles its C++ library first, which
took more than a quarter of an hour beside other work."""
NO_COMPILER = "there is no C++ compiler: install one, e.g. apt install g++"


@dataclass(frozen=True)
class Compiler:
    """A C++ compiler. ``version``: the first line of what it says of itself."""

    path: Path
    version: str


def source_folder() -> Path:
    """kernels/cpu/.

    Raises:
        EngineError: the installation lacks it.
    """
    try:
        return resource_dir("kernels") / "cpu"
    except FileNotFoundError as error:
        raise EngineError(str(error)) from None


def find_compiler() -> Compiler:
    """``$CXX``, else c++, g++ or clang++ from PATH.

    Raises:
        EngineError: there is none, or it does not run.
    """
    for name in (os.environ.get("CXX", ""), *NAMES):
        if found := shutil.which(name) if name else None:
            said = _run([found, "--version"])
            return Compiler(Path(found), said.splitlines()[0].strip() if said.strip() else "unknown")
    raise EngineError(NO_COMPILER)


def compile_library(compiler: Compiler, flags: Sequence[str] = FLAGS) -> bytes:
    """kernels/cpu/edgerecon_cpu.cpp as a shared library; takes some ten seconds.

    Raises:
        EngineError: the compiler refuses; the message is its first complaint.
    """
    with tempfile.TemporaryDirectory(prefix="edgerecon-") as folder:
        target = Path(folder) / "edgerecon_cpu.so"
        _run([str(compiler.path), *flags, "-o", str(target), str(source_folder() / "edgerecon_cpu.cpp")])
        return target.read_bytes()


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=SECONDS,
        )
    except OSError as error:
        raise EngineError(f"{command[0]} does not run: {error}") from None
    except subprocess.TimeoutExpired:
        raise EngineError(f"{command[0]} does not end within {SECONDS} s: name another compiler in CXX") from None
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        first = next((line for line in lines if re.search(r"error|fatal|not found", line)), (lines or ["no reason"])[0])
        raise EngineError(f"{Path(command[0]).name} failed: {first.strip()}")
    return done.stdout

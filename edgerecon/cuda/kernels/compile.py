"""nvcc: one fat binary for each kernels/cuda/NAME.cu, and what ptxas says about the registers and memory it takes.

A fat binary holds machine code for every capability of ``CAPABILITIES``, and PTX of the oldest and of the newest, which
a driver compiles for a GPU that has no machine code here (CUDA C++ Programming Guide, "Application Compatibility").
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from edgerecon.core.errors import EngineError, UsageError
from edgerecon.core.shipped import resource_dir

CAPABILITIES = (75, 80, 86, 87, 89, 90, 100, 110, 120)
"""Turing to Blackwell; 87 is Orin, 110 Thor. CUDA 13 knows nothing older."""
PTX = (CAPABILITIES[0], CAPABILITIES[-1])
SYSTEM = Path("/usr/local/cuda/bin/nvcc")
FLAGS = ("-O3", "-std=c++17")
NO_COMPILER = (
    "there is no CUDA compiler: install the toolkit (nvcc in PATH), or run  "
    "pip install nvidia-cuda-nvcc nvidia-cuda-crt nvidia-nvvm nvidia-cuda-runtime nvidia-cuda-cccl"
)


@dataclass(frozen=True)
class Compiler:
    """nvcc. ``version``: of the toolkit, e.g. "13.0.88"."""

    path: Path
    version: str


@dataclass(frozen=True)
class Usage:
    """What one kernel takes on one GPU, as ptxas reports it.

    Attributes:
        kernel: its name in the binary. capability: e.g. 90.
        registers: of a thread. shared_bytes: static, of a block. stack_bytes: of a thread.
        spill_bytes: stored and loaded because registers ran out.
    """

    kernel: str
    capability: int
    registers: int
    shared_bytes: int
    stack_bytes: int
    spill_bytes: int


@dataclass(frozen=True)
class FatBinary:
    """Machine code and PTX of one .cu file, and the resources of its kernels, sorted."""

    content: bytes
    usage: tuple[Usage, ...]


def source_folder() -> Path:
    """kernels/cuda/.

    Raises:
        EngineError: the installation lacks it.
    """
    try:
        return resource_dir("kernels") / "cuda"
    except FileNotFoundError as error:
        raise EngineError(str(error)) from None


def kernel_files() -> tuple[str, ...]:
    """Names of the .cu files, without the suffix."""
    return tuple(sorted(path.stem for path in source_folder().glob("*.cu")))


def find_compiler() -> Compiler:
    """nvcc from PATH, from /usr/local/cuda, or from the package index's nvidia-cuda-nvcc.

    Raises:
        EngineError: there is none, or it does not run.
    """
    for path in _places():
        if path.is_file() and os.access(path, os.X_OK):
            said = _run([str(path), "--version"])
            version = re.search(r"\bV(\d+\.\d+\.\d+)", said)
            if not version:
                raise EngineError(f"{path} does not say its version: reinstall it")
            return Compiler(path, version[1])
    raise EngineError(NO_COMPILER)


def _places() -> list[Path]:
    on_path = shutil.which("nvcc")
    packages = find_spec("nvidia")
    folders = (packages.submodule_search_locations or []) if packages else []
    indexed = [path for folder in folders for path in sorted(Path(folder).glob("*/bin/nvcc"), reverse=True)]
    return [*([Path(on_path)] if on_path else []), SYSTEM, *indexed]


def compile_kernel(name: str, compiler: Compiler, capabilities: Sequence[int] = CAPABILITIES) -> FatBinary:
    """Build kernels/cuda/NAME.cu.

    Raises:
        UsageError: there is no such file. EngineError: nvcc refuses; the message is its first complaint.
    """
    source = source_folder() / f"{name}.cu"
    if not source.is_file():
        raise UsageError(f"there is no kernel '{name}': choose from {', '.join(kernel_files())}")
    with tempfile.TemporaryDirectory(prefix="edgerecon-") as folder:
        target = Path(folder) / "out.fatbin"
        threads = str(min(4, os.cpu_count() or 1))
        said = _run(
            [
                str(compiler.path),
                *FLAGS,
                "--fatbin",
                "-Xptxas=-v",
                "--threads",
                threads,
                *_targets(capabilities),
                "-o",
                str(target),
                str(source),
            ]
        )
        return FatBinary(target.read_bytes(), parse_usage(said))


def _targets(capabilities: Sequence[int]) -> list[str]:
    machine = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in capabilities]
    return machine + [f"-gencode=arch=compute_{number},code=compute_{number}" for number in PTX]


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise EngineError(f"{command[0]} does not run: {error}") from None
    said = done.stdout + done.stderr
    if done.returncode:
        lines = [line for line in said.splitlines() if line.strip() and "ptxas info" not in line]
        first = next((line for line in lines if re.search(r"error|fatal|not found", line)), (lines or ["no reason"])[0])
        raise EngineError(f"nvcc failed: {first.strip()}")
    return said


_ENTRY = re.compile(r"Compiling entry function '(\w+)' for 'sm_(\d+)'")
_STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers(?:.*?(\d+) bytes smem)?")


def parse_usage(said: str) -> tuple[Usage, ...]:
    """Resources from the output of ``ptxas -v``: a heading a kernel, then its stack, then its registers."""
    found, kernel, stack = [], None, None
    for line in said.splitlines():
        if match := _ENTRY.search(line):
            kernel, stack = (match[1], int(match[2])), None
        elif kernel and (match := _STACK.search(line)) and stack is None:
            stack = (int(match[1]), int(match[2]) + int(match[3]))
        elif kernel and stack and (match := _USED.search(line)):
            found.append(Usage(*kernel, int(match[1]), int(match[2] or 0), *stack))
            kernel = stack = None
    return tuple(sorted(found, key=lambda usage: (usage.kernel, usage.capability)))

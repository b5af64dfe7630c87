"""What the tests of the kernels share: nvcc and g++ used once a session, whatever the number of tests."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.errors import EngineError
from edgerecon.cuda.kernels.compile import Compiler, find_compiler, source_folder
from tests.support.sanitizers import FLAGS, SECONDS, run_sanitized

HostRun = Callable[..., np.ndarray]


@pytest.fixture(scope="session")
def compiler() -> Compiler:
    try:
        return find_compiler()
    except EngineError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def host_program(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """kernels/cuda/tests/NAME_host.cpp as a program that checks its own addresses and arithmetic."""
    folder, kept = tmp_path_factory.mktemp("host"), {}
    if shutil.which("g++") is None:
        pytest.skip("there is no g++")

    def build(name: str) -> Path:
        if name not in kept:
            kept[name] = folder / name
            subprocess.run(
                [
                    "g++",
                    "-std=c++17",
                    "-O0",
                    "-g",
                    "-Wall",
                    "-Wextra",
                    "-Werror",
                    "-Wno-unknown-pragmas",
                    *FLAGS,
                    "-o",
                    str(kept[name]),
                    str(source_folder() / "tests" / f"{name}_host.cpp"),
                ],
                check=True,
                timeout=SECONDS,
            )
        return kept[name]

    return build


@pytest.fixture
def on_host(host_program: Callable[[str], Path], tmp_path: Path) -> HostRun:
    """Run a host program on raw files: ``on_host(NAME, arguments, inputs, dtype)`` → its flat output.

    The program is called with the arguments, then one file an input, then the file to write.
    """

    def run(name: str, arguments: list[object], inputs: list[np.ndarray], dtype: type = np.float32) -> np.ndarray:
        files = [tmp_path / f"in{index}" for index in range(len(inputs))]
        for file, array in zip(files, inputs, strict=True):
            np.ascontiguousarray(array).tofile(file)
        out = tmp_path / "out"
        command = [host_program(name), *arguments, *files, out]
        run_sanitized(command, tmp_path)
        return np.fromfile(out, dtype)

    return run

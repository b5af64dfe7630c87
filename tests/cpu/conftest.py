"""What the tests of the CPU kernels share: the loaded library, and a program that checks itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from edgerecon.cpu.compile import source_folder
from edgerecon.cpu.library import Library
from edgerecon.cpu.store import Stored
from tests.support.sanitizers import FLAGS, SECONDS


@pytest.fixture(scope="session")
def library(stored: Stored) -> Library:
    return Library(stored)


@pytest.fixture(scope="session")
def host_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """kernels/cpu/tests/engine_host.cpp, which checks its own addresses and arithmetic."""
    if shutil.which("g++") is None:
        pytest.skip("there is no g++")
    program = tmp_path_factory.mktemp("host") / "engine_host"
    subprocess.run(
        [
            "g++",
            "-std=c++17",
            "-O0",
            "-pthread",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Wno-psabi",
            *FLAGS,
            "-o",
            str(program),
            str(source_folder() / "tests" / "engine_host.cpp"),
        ],
        check=True,
        timeout=SECONDS,
    )
    return program

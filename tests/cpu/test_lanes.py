"""The integer lanes give the same bytes in every instruction set, on this processor and on aarch64."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from edgerecon.cpu.compile import source_folder
from tests.support.sanitizers import SECONDS

AARCH64 = ("aarch64-linux-gnu-g++", "qemu-aarch64")
ROOT = "/usr/aarch64-linux-gnu"
"""Where Debian keeps the libraries of the other processor."""


def said_by(folder: Path, compiler: str, *runner: str) -> str:
    """What the program prints; it fails when two sets differ."""
    program = folder / compiler
    source = source_folder() / "tests" / "lanes_host.cpp"
    warnings = ("-Wall", "-Wextra", "-Werror", "-Wno-psabi", "-Wno-unused-function")
    command = [compiler, "-std=c++17", "-O1", *warnings, "-o", str(program), str(source)]
    subprocess.run(command, check=True, timeout=SECONDS)
    done = subprocess.run([*runner, str(program)], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, f"two instruction sets differ {done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> str:
    if not shutil.which("g++"):
        pytest.skip("there is no g++")
    return said_by(tmp_path_factory.mktemp("lanes"), "g++")


def test_all_sets_of_this_processor_agree(here: str) -> None:
    assert len(here.strip()) == 16


@pytest.mark.skipif(not all(map(shutil.which, AARCH64)), reason="there is no cross compiler or no qemu-user")
def test_neon_gives_the_same_bytes(here: str, tmp_path: Path) -> None:
    assert said_by(tmp_path, AARCH64[0], AARCH64[1], "-L", ROOT) == here

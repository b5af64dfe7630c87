"""The kernels under the address and undefined-behaviour sanitizers, and their pool of threads under that of threads."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from edgerecon.cpu.compile import source_folder
from tests.support.sanitizers import SECONDS, run_sanitized


def test_no_address_and_no_arithmetic_goes_wrong(host_program: Path, tmp_path: Path) -> None:
    run_sanitized([host_program, 6], tmp_path)


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++")
def test_every_piece_is_done_once_without_a_race(tmp_path: Path) -> None:
    program = tmp_path / "thread_pool_host"
    source = source_folder() / "tests" / "thread_pool_host.cpp"
    command = ["g++", "-std=c++17", "-O1", "-pthread", "-Wall", "-Wextra", "-Werror", "-fsanitize=thread"]
    subprocess.run([*command, "-o", str(program), str(source)], check=True, timeout=SECONDS)
    run_sanitized([program], tmp_path)

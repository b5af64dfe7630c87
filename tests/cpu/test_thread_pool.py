"""The pool of threads under the thread sanitizer."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from edgerecon.cpu.compile import source_folder
from tests.support.sanitizers import SECONDS, run_sanitized


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++")
def test_every_piece_is_done_once_without_a_race(tmp_path: Path) -> None:
    program = tmp_path / "thread_pool_host"
    source = source_folder() / "tests" / "thread_pool_host.cpp"
    command = ["g++", "-std=c++17", "-O1", "-pthread", "-Wall", "-Wextra", "-Werror", "-fsanitize=thread"]
    subprocess.run([*command, "-o", str(program), str(source)], check=True, timeout=SECONDS)
    run_sanitized([program], tmp_path)

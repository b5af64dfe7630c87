"""Every kernel compiles for every GPU, spills nothing, and takes the registers and shared memory it is known to."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edgerecon.cuda.kernels.compile import CAPABILITIES, FLAGS, PTX, Compiler, FatBinary, kernel_files, source_folder

TABLE = source_folder() / "budget.json"
"""{"toolkit": of nvcc, "kernels": {file: {kernel: {capability: [registers, static shared bytes]}}}}"""
UPDATE = "after a change that means it, write the table anew:  EDGERECON_BUDGET=write pytest tests/cuda/test_budget.py"


def used(made: FatBinary) -> dict[str, dict[str, list[int]]]:
    table: dict[str, dict[str, list[int]]] = {}
    for usage in made.usage:
        table.setdefault(usage.kernel, {})[str(usage.capability)] = [usage.registers, usage.shared_bytes]
    return table


def known() -> dict[str, dict[str, dict[str, dict[str, list[int]]]]]:
    return json.loads(TABLE.read_text()) if TABLE.is_file() else {"kernels": {}}


@pytest.mark.parametrize("name", kernel_files())
def test_no_spills_and_no_other_budget(name: str, built: Callable[[str], FatBinary], compiler: Compiler) -> None:
    made = built(name)
    table = used(made)
    assert table and all(set(map(int, row)) == set(CAPABILITIES) for row in table.values())
    spilling = [usage for usage in made.usage if usage.spill_bytes or usage.stack_bytes]
    assert not spilling, f"registers spill to memory: {spilling}"
    stored = known()
    if os.environ.get("EDGERECON_BUDGET") == "write":
        stored["toolkit"] = compiler.version  # type: ignore[assignment]
        stored["kernels"][name] = table
        text = json.dumps({**stored, "kernels": dict(sorted(stored["kernels"].items()))}, indent=1)
        TABLE.write_text(re.sub(r"\[\s+(\d+),\s+(\d+)\s+\]", r"[\1, \2]", text) + "\n")
    elif stored.get("toolkit") != compiler.version:
        pytest.skip(f"the table is of nvcc {stored.get('toolkit')}, this is {compiler.version}")
    else:
        assert table == stored["kernels"].get(name), UPDATE


def test_cmake_builds_for_the_same_gpus(tmp_path: Path, compiler: Compiler) -> None:
    text = (source_folder().parent / "CMakeLists.txt").read_text()
    for name, numbers in (("CAPABILITIES", CAPABILITIES), ("PTX", PTX)):
        assert f"set({name} {' '.join(map(str, numbers))})" in text
    assert " ".join(FLAGS) in text
    if shutil.which("cmake") is None:
        pytest.skip("there is no cmake")
    command = ["cmake", "-S", str(source_folder().parent), "-B", str(tmp_path), f"-DNVCC={compiler.path}"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    for name in kernel_files():
        said = subprocess.run(
            ["cmake", "--build", str(tmp_path), "--target", "help"],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout
        assert name in said

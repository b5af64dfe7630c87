"""Every kernel spills nothing, and takes the registers and shared memory it is known to, on every GPU.

The table is written by compiling for every GPU, and names the sources that it is of; a run of the tests compiles for
the oldest and the newest GPU, which costs a fifth.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from edgerecon.cuda.kernels.compile import (
    CAPABILITIES,
    FLAGS,
    PTX,
    Compiler,
    FatBinary,
    compile_kernel,
    kernel_files,
    source_folder,
)

TABLE = source_folder() / "budget.json"
"""{"toolkit": of nvcc, "kernels": {file: {kernel: {capability: [registers, static shared bytes]}}}, "sources": {file:
SHA-256 of it and of what it includes}}"""
UPDATE = "after a change that means it, write the table anew:  EDGERECON_BUDGET=write pytest tests/cuda/test_budget.py"


def used(made: FatBinary) -> dict[str, dict[str, list[int]]]:
    table: dict[str, dict[str, list[int]]] = {}
    for usage in made.usage:
        table.setdefault(usage.kernel, {})[str(usage.capability)] = [usage.registers, usage.shared_bytes]
    return table


def known() -> dict[str, dict[str, dict[str, dict[str, list[int]]]]]:
    return json.loads(TABLE.read_text()) if TABLE.is_file() else {"kernels": {}, "sources": {}}


def included(name: str) -> Iterator[str]:
    """A file of the sources and all that it includes of them."""
    yield name
    for other in re.findall(r'^#include "(.+)"', (source_folder() / name).read_text(), re.MULTILINE):
        yield from included(other)


def digest(name: str) -> str:
    files = sorted({*included(f"{name}.cu")})
    return sha256(b"".join((source_folder() / file).read_bytes() for file in files)).hexdigest()


@pytest.mark.parametrize("name", kernel_files())
def test_the_table_is_of_these_sources(name: str) -> None:
    if os.environ.get("EDGERECON_BUDGET") != "write":
        assert known()["sources"].get(name) == digest(name), UPDATE  # type: ignore[comparison-overlap]


@pytest.mark.parametrize("name", kernel_files())
def test_no_spills_and_no_other_budget(name: str, compiler: Compiler) -> None:
    stored, writes = known(), os.environ.get("EDGERECON_BUDGET") == "write"
    capabilities = CAPABILITIES if writes else (CAPABILITIES[0], CAPABILITIES[-1])
    made = compile_kernel(name, compiler, capabilities)
    table = used(made)
    assert table and all(set(map(int, row)) == set(capabilities) for row in table.values())
    spilling = [usage for usage in made.usage if usage.spill_bytes or usage.stack_bytes]
    assert not spilling, f"registers spill to memory: {spilling}"
    if writes:
        stored["toolkit"] = compiler.version  # type: ignore[assignment]
        stored["kernels"][name] = table
        stored["sources"][name] = digest(name)  # type: ignore[assignment]
        text = json.dumps({**stored, "kernels": dict(sorted(stored["kernels"].items()))}, indent=1)
        TABLE.write_text(re.sub(r"\[\s+(\d+),\s+(\d+)\s+\]", r"[\1, \2]", text) + "\n")
    elif stored.get("toolkit") != compiler.version:
        pytest.skip(f"the table is of nvcc {stored.get('toolkit')}, this is {compiler.version}")
    else:
        whole = stored["kernels"].get(name, {})
        assert all(set(map(int, row)) == set(CAPABILITIES) for row in whole.values()), UPDATE
        wanted = {kernel: {key: row[key] for key in map(str, capabilities)} for kernel, row in whole.items()}
        assert table == wanted, UPDATE


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

"""What the compiler made of the inner loops: the instructions they are written for, and next to no spilt register."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess

import pytest

from edgerecon.cpu.store import Stored

INNER_BLOCK = 48
"""Products of four pairs of channels with 12 sums, or of four channels: a loop that is unrolled as it is written."""
JUMP = re.compile(r"\tj[a-z]+\s|\tret")
SPILT = re.compile(r"(?=.*%ymm).*\(%r[sb]p")
MOST_SPILT = 2
"""A sum that is stored and read again in a turn of the loop: one product in 24 has such a neighbour."""


@pytest.fixture(scope="module")
def listing(stored: Stored, tmp_path_factory: pytest.TempPathFactory) -> str:
    if platform.machine() != "x86_64" or shutil.which("objdump") is None or "clang" in stored.compiler:
        pytest.skip("needs objdump and the AVX2 form by GCC")
    path = tmp_path_factory.mktemp("library") / "edgerecon_cpu.so"
    path.write_bytes(stored.content)
    done = subprocess.run(["objdump", "-d", str(path)], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def blocks(listing: str, function: str) -> list[list[str]]:
    """The instructions between jumps of every function whose name holds all of these words."""
    found: list[list[str]] = []
    for part in listing.split("\n\n"):
        name, _, body = part.partition("\n")
        if all(word in name for word in function.split()):
            found.append([])
            for line in body.splitlines():
                found[-1].append(line)
                if JUMP.search(line):
                    found.append([])
    return found


@pytest.mark.parametrize(
    ("function", "product"),
    [
        ("avx2 convolve_tilesILi4ELi6ELi1 Integer", "vpmaddwd"),
        ("avx2 convolve_tilesILi2ELi6ELi1 Integer", "vpmaddwd"),
        ("vnni convolve_tilesILi4ELi6ELi1 Integer", "vpdpwssd"),
        ("vnni convolve_tilesILi2ELi6ELi1 Integer", "vpdpwssd"),
        ("avx2 convolve_tilesILi6 Float", "vfmadd"),
    ],
)
def test_inner_loops_keep_their_sums_in_registers(listing: str, function: str, product: str) -> None:
    inner = [block for block in blocks(listing, function) if sum(product in line for line in block) >= INNER_BLOCK]
    assert inner, "no loop holds as many products as it is unrolled for"
    for block in inner:
        at = [number for number, line in enumerate(block) if product in line]
        loop = block[at[0] : at[-1] + 2]
        spilt = [line for line in loop if SPILT.search(line)]
        assert len(spilt) <= MOST_SPILT, spilt
        assert not any("\tvmovd " in line for line in loop), "a factor goes by way of a general register"


def test_the_portable_form_needs_no_newer_processor(listing: str) -> None:
    portable = [line for block in blocks(listing, "portable convolve_tiles") for line in block]
    assert portable and not any("%ymm" in line for line in portable)

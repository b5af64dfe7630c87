"""What the compiler made of the inner loops: the instructions they are written for, and next to no spilt register."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess

import pytest

from edgerecon.cpu.store import Stored

STEPS = 4
"""Pairs of channels, or channels, of a turn of the inner loop: it is unrolled as it is written."""
JUMP = re.compile(r"\tj[a-z]+\s|\tret")
SPILT = re.compile(r"(?=.*%[yz]mm).*\(%r[sb]p")
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
    ("function", "product", "sums"),
    [
        ("avx2 multiply_atIDv8_jLi4ELi6ELi2ELi16", "vpmaddwd", 12),
        ("avx2 multiply_atIDv8_jLi2ELi6ELi2ELi16", "vpmaddwd", 12),
        ("vnni multiply_atIDv16_jLi4ELi8ELi1ELi16", "vpdpwssd", 16),
        ("vnni multiply_atIDv16_jLi2ELi8ELi1ELi16", "vpdpwssd", 16),
        ("avx2 multiply_atIDv8_fLi6ELi2ELi16", "vfmadd", 12),
        ("vnni multiply_atIDv16_fLi8ELi1ELi16", "vfmadd", 8),
    ],
)
def test_inner_loops_keep_their_sums_in_registers(listing: str, function: str, product: str, sums: int) -> None:
    whole = STEPS * sums
    inner = [block for block in blocks(listing, function) if sum(product in line for line in block) >= whole]
    assert inner, "no loop holds as many products as it is unrolled for"
    for block in inner:
        at = [number for number, line in enumerate(block) if product in line]
        loop = block[at[0] : at[-1] + 2]
        spilt = [line for line in loop if SPILT.search(line)]
        assert len(spilt) <= MOST_SPILT, spilt
        assert not any("\tvmovd " in line for line in loop), "a factor goes by way of a general register"


def test_the_portable_form_needs_no_newer_processor(listing: str) -> None:
    portable = [line for block in blocks(listing, "portable multiply_at") for line in block]
    assert portable and not any(re.search("%[yz]mm", line) for line in portable)


def test_sums_of_many_frames_stay_in_registers(listing: str) -> None:
    inner = [block for block in blocks(listing, "vnni das_batch_iq") if sum("vpdpwssd" in line for line in block) == 8]
    assert inner and not any(SPILT.search(line) for block in inner for line in block)

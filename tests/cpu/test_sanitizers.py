"""The kernels under the address and undefined-behaviour sanitizers."""

from __future__ import annotations

from pathlib import Path

from tests.support.sanitizers import run_sanitized


def test_no_address_and_no_arithmetic_goes_wrong(host_program: Path, tmp_path: Path) -> None:
    run_sanitized([host_program, 6], tmp_path)

"""The kernels under the address and undefined-behaviour sanitizers."""

from __future__ import annotations

import subprocess
from pathlib import Path


def test_no_address_and_no_arithmetic_goes_wrong(host_program: Path) -> None:
    done = subprocess.run([str(host_program), "12"], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]

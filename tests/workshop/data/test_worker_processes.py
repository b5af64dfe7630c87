"""Worker processes: Ctrl-C is not theirs, the script that starts them is not run again, a killed one is reported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from edgerecon.core.errors import EdgereconError
from edgerecon.workshop.data.processes import processes_without_interrupts, worker_pool

SCRIPT = """
from pathlib import Path
from edgerecon.workshop.data.simulate.dataset import simulate
print("top of the script")
print(simulate(Path("pairs.h5"), samples=2, seed=1, workers=2, kind="display"))
"""


def test_they_do_not_hear_ctrl_c_and_this_one_still_does() -> None:
    before = signal.getsignal(signal.SIGINT)
    with ProcessPoolExecutor(1, processes_without_interrupts()) as pool:
        assert pool.submit(signal.getsignal, signal.SIGINT).result(60) == signal.SIG_IGN
        assert pool.submit(signal.raise_signal, signal.SIGINT).result(60) is None
    assert signal.getsignal(signal.SIGINT) is before


def test_script_without_a_main_guard_simulates(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    ran = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert (ran.returncode, ran.stdout.splitlines()) == (0, ["top of the script", "2"]), ran.stderr
    assert (tmp_path / "pairs.h5").is_file()


def test_main_is_the_same_module_after_a_process_was_started() -> None:
    main = sys.modules["__main__"]
    with worker_pool(1) as pool:
        assert pool.submit(abs, -1).result(60) == 1
    assert sys.modules["__main__"] is main


def test_killed_process_is_one_line() -> None:
    with pytest.raises(EdgereconError, match="one of 2 worker processes was killed before its work was done"):
        with worker_pool(2) as pool:
            pool.submit(os._exit, 1).result(60)

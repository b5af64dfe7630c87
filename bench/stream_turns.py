"""Turns: each loop of stream_rivals.py for some seconds in a process of its own, again and again in changing order."""

from __future__ import annotations

import glob
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
LIBRARIES = "--libraries"
TIMEOUT_S = 300


def rotated(names: Sequence[str], turns: int) -> Iterator[list[str]]:
    """The names, ``turns`` times, each time from the next one on: nobody is always first."""
    for number in range(turns):
        at = number % len(names)
        yield [*names[at:], *names[:at]]


def turn(script: str, python: str, name: str, arguments: Sequence[str]) -> Any:
    """What the script's ``--peer name`` prints as its last line, JSON; or a str: why there is nothing."""
    command = [python, script, "--peer", name, LIBRARIES, sysconfig.get_path("purelib"), *arguments]
    try:
        done = subprocess.run(command, env=_environment(python), capture_output=True, text=True, timeout=TIMEOUT_S)
    except (subprocess.TimeoutExpired, OSError) as error:
        return f"it did not run: {error}" if isinstance(error, OSError) else f"it did not end in {TIMEOUT_S} s"
    if done.returncode:
        return (done.stderr.strip() or f"it ended with {done.returncode}").splitlines()[-1]
    return json.loads(done.stdout.splitlines()[-1])


def _environment(python: str) -> Mapping[str, str]:
    # absolute, not resolved: a virtual environment's python is a link to the one that it was made from
    nvidia = glob.glob(str(Path(python).absolute().parent.parent / "lib/python3*/site-packages/nvidia/*/lib"))
    quiet = {"OMP_NUM_THREADS": "1", "HOLOSCAN_LOG_LEVEL": "OFF"}
    return {**os.environ, **quiet} | ({"LD_LIBRARY_PATH": ":".join(nvidia)} if nvidia else {})


def reach(libraries: str) -> None:
    """Make edgerecon and what it needs importable in another environment, whose own packages go first."""
    sys.path += [path for path in (str(REPOSITORY), libraries) if path not in sys.path]

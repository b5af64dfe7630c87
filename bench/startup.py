"""How long a user waits for `import edgerecon`, for `edgerecon --help`, and for the first frame of `edgerecon demo`.

Every figure is the median over fresh processes, after one that fills the caches. The import is a process with it less
one without it, interleaved; the demo counts from the start of its process until the sinks have the first frame.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from edgerecon.hardware.device import host_profile

DEMO = """
import sys, time
from edgerecon.cli import main as cli
from edgerecon.stream.accounting.counters import Counters

count = Counters.shown

def shown(*values, **named):
    if not reached:
        reached.append(time.time())
    count(*values, **named)

reached, Counters.shown = [], shown
started = float(sys.argv.pop(1))
try:
    cli.main()
finally:
    print(f"first frame {reached[0] - started}")
"""


def seconds(*code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *code], check=True, capture_output=True)
    return time.perf_counter() - start


def first_frame() -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", DEMO, repr(time.time()), "demo", "--seconds", "0.5", "--out", folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split("first frame ")[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    imports, helps, frames = [], [], []
    for _ in range(arguments.repeats + 1):
        imports.append(seconds("-c", "import edgerecon") - seconds("-c", "pass"))
        helps.append(seconds("-m", "edgerecon", "--help"))
        frames.append(first_frame())
    result = {
        "import_ms": 1e3 * median(imports[1:]),
        "help_ms": 1e3 * median(helps[1:]),
        "demo_first_frame_ms": 1e3 * median(frames[1:]),
        "repeats": arguments.repeats,
        "host": host_profile(),
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    for name in ("import_ms", "help_ms", "demo_first_frame_ms"):
        print(f"{name}: {result[name]:.0f}")  # noqa: T201


if __name__ == "__main__":
    main()

"""How long a user waits for `import edgerecon`, for `edgerecon --help`, and for the first frame of `edgerecon demo`.

Every figure is the median over fresh processes, after one that fills the caches. The import is a process with it less
one without it, interleaved; the demo counts from the start of its process until the sinks have the first frame. Beside
the time on the wall stands the processor time of each command, and how many times a bare interpreter's that is: these
two hold on a busy machine, too.
"""

from __future__ import annotations

import argparse
import json
import resource
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


COMMANDS = {
    "python": ("-c", "pass"),
    "import": ("-c", "import edgerecon"),
    "help": ("-m", "edgerecon", "--help"),
    "models": ("-m", "edgerecon", "models"),
    "stream_help": ("-m", "edgerecon", "stream", "--help"),
    "open_engine": ("-c", "import edgerecon as er; er.open_engine('compact-despeckle', 'onnxruntime')"),
}


def seconds(command: tuple[str, ...]) -> tuple[float, float]:
    """On the wall, and of the processor, user and system together."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


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
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    frames = []
    for _ in range(arguments.repeats + 1):
        for name, command in COMMANDS.items():
            times[name].append(seconds(command))
        frames.append(first_frame())
    cpu = {name: median(one[1] for one in found[1:]) for name, found in times.items()}
    result = {
        "import_ms": 1e3 * median(a[0] - b[0] for a, b in zip(times["import"], times["python"], strict=True)),
        "help_ms": 1e3 * median(one[0] for one in times["help"][1:]),
        "demo_first_frame_ms": 1e3 * median(frames[1:]),
        "cpu_ms": {name: 1e3 * found for name, found in cpu.items()},
        "times_python": {name: found / cpu["python"] for name, found in cpu.items()},
        "repeats": arguments.repeats,
        "host": host_profile(),
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    for name in ("import_ms", "help_ms", "demo_first_frame_ms"):
        print(f"{name}: {result[name]:.0f}")  # noqa: T201
    for name, found in cpu.items():
        print(f"{name}: {1e3 * found:.0f} ms of the processor, {found / cpu['python']:.1f} × python")  # noqa: T201


if __name__ == "__main__":
    main()

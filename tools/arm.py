"""Run the device world on aarch64 without a board: Debian's Python under qemu-user, on the wheels that a Pi installs.

    python tools/arm.py .arm     needs root or user namespaces for mmdebstrap, and Debian's mmdebstrap and qemu-user

The root file system is downloaded and unpacked, never entered: only Python runs, through qemu. Fixed frames go through
every shipped file here and there. Files of powers of two must give the same bytes; the others, some of which add in
floating point at their end, the same grey levels within 1e-5.
An emulator says what is computed, never how fast.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
FRAMES = ROOT / "tools" / "arm_frames.py"
DEBIAN, PYTHON, MIRROR = "bookworm", "3.11", "http://deb.debian.org/debian"
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
RUNTIME = "onnxruntime==1.20.1"
"""Version 1.32 ends with SIGSEGV when it is imported under qemu 7.2, Debian 12's."""
CPU = "cortex-a76"
"""That of a Raspberry Pi 5."""
FLOAT_ERROR = 1e-5
SECONDS = 1800
EXACT = "po2"


def prepare(folder: Path) -> None:
    """The root file system and, beside it, what pip installs there; both are kept for the next time."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "root").is_dir():
        packages = "--include=python3,libstdc++6"
        options = ("--architectures=arm64", "--variant=extract", packages)
        run("mmdebstrap", *options, DEBIAN, str(folder / "root"), MIRROR)
    shutil.rmtree(folder / "site", ignore_errors=True)
    platforms = [f"--platform={name}_aarch64" for name in PLATFORMS]
    where = ["--only-binary=:all:", f"--python-version={PYTHON}", *platforms, "--target", str(folder / "site")]
    shutil.rmtree(folder / "wheel", ignore_errors=True)
    run(sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--wheel-dir", str(folder / "wheel"), str(ROOT))
    (wheel,) = (folder / "wheel").iterdir()
    run(sys.executable, "-m", "pip", "install", "-qq", *where, str(wheel), RUNTIME)


def emulated(folder: Path, *arguments: str) -> None:
    """Run Python with these arguments as an aarch64 process."""
    qemu = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static") or "qemu-aarch64"
    python = folder / "root" / "usr" / "bin" / f"python{PYTHON}"
    paths = {"PYTHONPATH": str(folder / "site"), "PYTHONHOME": str(folder / "root" / "usr")}
    there = {**os.environ, **paths, "OMP_NUM_THREADS": "1", "QEMU_CPU": CPU}
    run(qemu, "-L", str(folder / "root"), str(python), *arguments, env=there)


def differences(here: Path, there: Path) -> dict[str, float]:
    """Largest difference of each file's output, in grey levels of [0, 1]."""
    with np.load(here) as ours, np.load(there) as theirs:
        return {name: float(np.abs(ours[name] - theirs[name]).max()) for name in ours}


def main(folder: Path) -> int:
    prepare(folder)
    here, there = folder / "x86_64.npz", folder / "aarch64.npz"
    run(sys.executable, str(FRAMES), str(here))
    emulated(folder, str(FRAMES), str(there))
    failed = 0
    for name, difference in differences(here, there).items():
        allowed = 0.0 if name.endswith(EXACT) else FLOAT_ERROR
        failed += difference > allowed
        said = "the same bytes" if difference == 0 else f"{difference:.1e} apart, {allowed:.0e} is allowed"
        sys.stdout.write(f"{name}: {said}\n")
    command = ("-m", "edgerecon", "stream", "sample", "compact-despeckle-int8", "--backend", "onnxruntime")
    patient = ("--threads", "1", "--frames", "5", "--watchdog", "120s")
    emulated(folder, *command, *patient, "--json", str(folder / "report.json"))
    return min(failed, 1)


def run(*command: str, env: dict[str, str] | None = None) -> None:
    subprocess.run(command, check=True, timeout=SECONDS, env=env)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))

"""Check that the pinned versions install on every Python and processor that we name, from wheels alone.

    python tools/pins.py

Nothing is installed or downloaded but the index's answers. Exit status 1 names what has no wheel, and where.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
PLATFORMS = ("x86_64-manylinux_2_35", "aarch64-manylinux_2_35")
"""glibc 2.35 is Ubuntu 22.04, which JetPack 6 stands on; Raspberry Pi OS has a later one."""
EXTRAS = {
    "x86_64": ("dev", "docs", "zarr", "dicom"),
    "aarch64": ("stream", "zarr", "dicom", "openvino", "litert"),
}
"""A device runs; training and the tests of everything are for a PC."""
SOURCE_ONLY = ("tensorrt-rtx-cu13", "crcmod")
"""A shell on the index that fetches NVIDIA's wheel; and a checksum that pip compiles, or leaves in Python."""


def refusal(python: str, platform: str) -> str:
    """Why the pins do not resolve there, or ""."""
    extras = [f"--extra={name}" for name in EXTRAS[platform.partition("-")[0]]]
    sources = [f"--no-binary={name}" for name in SOURCE_ONLY]
    command = ["uv", "pip", "compile", "pyproject.toml", "--quiet", "--constraint=constraints.txt", *extras, *sources]
    command += ["--only-binary=:all:", f"--python-version={python}", f"--python-platform={platform}"]
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    return "" if done.returncode == 0 else done.stderr.strip() or "uv said nothing"


def main() -> int:
    failed = 0
    for python in PYTHONS:
        for platform in PLATFORMS:
            why = refusal(python, platform)
            failed += bool(why)
            sys.stdout.write(f"Python {python} on {platform}: {why or 'resolves'}\n")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())

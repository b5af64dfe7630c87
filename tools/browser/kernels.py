"""Compile our CPU kernels to WebAssembly for the demo in the browser, by the compiler that makes the wheels.

python tools/browser/kernels.py      into tools/browser/build/kernels.wasm
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ziglang

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(__file__).parent / "build" / "kernels.wasm"
FLAGS = ("-target", "wasm32-wasi", "-mexec-model=reactor", "-msimd128", "-std=c++17", "-O3", "-fno-rtti")
SMALL = ("-fvisibility=hidden", "-fignore-exceptions", "-s")
"""Nothing here could unwind an exception: one ends the module."""
SECONDS = 3600


def main() -> None:
    TARGET.parent.mkdir(exist_ok=True)
    zig, source = Path(ziglang.__file__).parent / "zig", ROOT / "kernels" / "cpu" / "browser.cpp"
    subprocess.run([str(zig), "c++", *FLAGS, *SMALL, "-o", str(TARGET), str(source)], check=True, timeout=SECONDS)
    sys.stdout.write(f"{TARGET.stat().st_size / 1e3:.0f} kB  {TARGET.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()

"""Build what is published: the source archive, a wheel for every machine, and one a processor with its kernels built.

    python tools/wheels.py dist

A wheel without kernels runs everywhere and compiles them when asked (edgerecon kernels build --cpu); the others bring
kernels/cpu as a library for Linux with glibc 2.17 or later, which zig's compiler makes for both processors on either.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from edgerecon.cpu.compile import FLAGS, Compiler, compile_library  # noqa: E402
from edgerecon.cpu.store import SUFFIX, seal  # noqa: E402

PROCESSORS = ("x86_64", "aarch64")
GLIBC = (2, 17)
PLATFORM = "manylinux2014"
"""The platform of glibc 2.17 (PEP 599)."""
PREBUILT = "edgerecon/_shipped/kernels/prebuilt"


def build(target: Path) -> list[Path]:
    """The archives, in a folder that holds no others afterwards."""
    target.mkdir(parents=True, exist_ok=True)
    for old in (*target.glob("edgerecon-*.whl"), *target.glob("edgerecon-*.tar.gz")):
        old.unlink()
    run("-m", "build", "--no-isolation", "--outdir", str(target), str(ROOT))
    (pure,) = target.glob("*-py3-none-any.whl")
    for processor in PROCESSORS:
        add_kernels(pure, processor)
    return sorted(target.glob("edgerecon-*"))


def add_kernels(pure: Path, processor: str) -> None:
    """Write the wheel of one processor beside the pure one."""
    with tempfile.TemporaryDirectory() as folder:
        run("-m", "wheel", "unpack", str(pure), "--dest", folder)
        (content,) = Path(folder).iterdir()
        compiler, library = compile_for(processor)
        seal(content / PREBUILT / f"edgerecon_cpu.{processor}{SUFFIX}", processor, compiler, library)
        (facts,) = content.glob("*.dist-info/WHEEL")
        text = facts.read_text(encoding="utf-8").replace("Root-Is-Purelib: true", "Root-Is-Purelib: false")
        facts.write_text(re.sub(r"(?m)^Tag: .*$", f"Tag: py3-none-{PLATFORM}_{processor}", text), encoding="utf-8")
        run("-m", "wheel", "pack", str(content), "--dest-dir", str(pure.parent))


def compile_for(processor: str) -> tuple[str, bytes]:
    """(compiler, library) of kernels/cpu.

    zig compiles its C++ library first, which takes minutes where other work keeps the cores, and is kept in its cache
    (ZIG_GLOBAL_CACHE_DIR).
    """
    import ziglang

    zig = Path(ziglang.__file__).parent / "zig"
    version = subprocess.run([zig, "version"], capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    target = ("c++", "-target", f"{processor}-linux-gnu.{GLIBC[0]}.{GLIBC[1]}")
    library = compile_library(Compiler(zig, version), (*target, *FLAGS, "-s"))
    if newest_glibc(library) > GLIBC:
        raise SystemExit(f"the library of {processor} asks for glibc {newest_glibc(library)}, later than {GLIBC}")
    return f"zig {version}", library


def newest_glibc(library: bytes) -> tuple[int, ...]:
    """The latest version of the C library whose symbols a shared library names."""
    found = re.findall(rb"\bGLIBC_(\d+)\.(\d+)", library)
    return max((tuple(map(int, version)) for version in found), default=(0, 0))


def run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, timeout=4000, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    for path in build(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist")):
        sys.stdout.write(f"{path.stat().st_size / 1e6:5.1f} MB  {path}\n")

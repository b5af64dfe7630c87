"""Run the device world on aarch64 without a board: Debian's Python under qemu-user, on the bundle that a Pi installs.

    python tools/arm.py .arm     needs root or user namespaces for mmdebstrap; Debian's mmdebstrap, qemu-user and
                                 g++-aarch64-linux-gnu

The root file system is downloaded and unpacked, never entered: only Python runs, through qemu. It installs a bundle for
the board from the archive alone, runs its self-test, streams, and puts fixed frames through every shipped file, on ONNX
Runtime and on our own kernels; the same is done here, and compared. An emulator says what is computed, never how fast.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from edgerecon.cpu.compile import FLAGS, Compiler, compile_library  # noqa: E402
from edgerecon.cpu.store import SUFFIX, seal  # noqa: E402
from edgerecon.deploy.bundle.lock import pins  # noqa: E402
from tools.arm_compare import compare  # noqa: E402

FRAMES = ROOT / "tools" / "arm_frames.py"
DEBIAN, PYTHON, MIRROR = "bookworm", "3.11", "http://deb.debian.org/debian"
BOARD, CPU, CORES = "raspberry-pi-5", "cortex-a76", 4
COMPILER = "aarch64-linux-gnu-g++"
LINKED = ("-static-libstdc++", "-static-libgcc")
SECONDS = 1800
PROCESSOR = """\
processor\t: {number}
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x4
CPU part\t: 0xd0b
CPU revision\t: 1

"""
"""/proc/cpuinfo of that board. qemu 7.2 shows this machine's, by which ONNX Runtime from 1.21 on ends with SIGSEGV."""


def main(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    with step("Debian's Python for arm64"):
        make_root(folder / "root")
    with step(f"bundle for {BOARD}, with every package"):
        bundle = make_bundle(folder)
    with step("installation from the archive alone"):
        install(folder, bundle)
    with step("self-test of the bundle"):
        emulated(folder, "-m", "edgerecon.deploy.bundle.acceptance", str(bundle))
    with step("our kernels, for aarch64 and for here"):
        add_kernels(folder / "site")
        run(sys.executable, "-m", "edgerecon", "kernels", "build", "--cpu")
    with step("every shipped file, there and here"):
        emulated(folder, str(FRAMES), str(folder / "aarch64.npz"))
        run(sys.executable, str(FRAMES), str(folder / "x86_64.npz"))
        failed = compare(folder / "x86_64.npz", folder / "aarch64.npz", sys.stdout)
    with step("a stream"):
        command = ("-m", "edgerecon", "stream", "sample", "compact-despeckle-small-int8", "--backend", "onnxruntime")
        patient = ("--threads", "1", "--frames", "3", "--policy", "every", "--no-pace", "--watchdog", "300s")
        emulated(folder, *command, *patient, "--sink", str(folder / "out.npz"), "--json", str(folder / "report.json"))
    return min(failed, 1)


def make_root(root: Path) -> None:
    """The unpacked packages, and what the kernel says of the board's processor; kept for the next time."""
    if not (root / "usr").is_dir():
        packages = "--include=python3,python3-pip-whl,libstdc++6"
        run("mmdebstrap", "--quiet", "--architectures=arm64", "--variant=extract", packages, DEBIAN, str(root), MIRROR)
    told = {
        "proc/cpuinfo": "".join(PROCESSOR.format(number=number) for number in range(CORES)),
        **{f"sys/devices/system/cpu/{name}": f"0-{CORES - 1}\n" for name in ("possible", "present", "online")},
    }
    for name, text in told.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def make_bundle(folder: Path) -> Path:
    """The bundle's folder, as ``tar -xzf`` leaves it on the board."""
    archive, unpacked = folder / "bundle.tar.gz", folder / "unpacked"
    wanted = ("export/compact-despeckle.toml", "--device", BOARD, "--backend", "onnxruntime", "--wheels")
    run(sys.executable, "-m", "edgerecon", "bundle", *wanted, "-o", str(archive))
    shutil.rmtree(unpacked, ignore_errors=True)
    with tarfile.open(archive) as file:
        file.extractall(unpacked, filter="data")
    (found,) = unpacked.iterdir()
    return found


def install(folder: Path, bundle: Path) -> None:
    """What install.sh does with pip, by the board's Python and pip: no network, every hash checked.

    Sources are left out: pip would start another Python to build them, which the kernel here cannot.
    """
    site, (pip,) = folder / "site", (folder / "root" / "usr" / "share" / "python-wheels").glob("pip-*.whl")
    shutil.rmtree(site, ignore_errors=True)
    (ours,) = (bundle / "wheels").glob("edgerecon-*.whl")
    quietly = (str(pip / "pip"), "install", "-q", "--no-compile", "--no-index", "--no-deps", "--target", str(site))
    built = {path.name.partition("-")[0].lower() for path in (bundle / "wheels").glob("*.whl")}
    locked = pins((bundle / "requirements.txt").read_text(encoding="utf-8"))
    kept = [pin for pin in locked if pin.name.replace("-", "_").lower() in built]
    if left := sorted({pin.name for pin in locked} - {pin.name for pin in kept}):
        sys.stdout.write(f"not installed, for want of a wheel: {', '.join(left)}\n")
    lines = (" ".join([f"{pin.name}=={pin.version}", *(f"--hash=sha256:{one}" for one in pin.hashes)]) for pin in kept)
    (folder / "wheels.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    locked_wheels = ("--find-links", str(bundle / "wheels"), "--require-hashes", "-r", str(folder / "wheels.txt"))
    emulated(folder, *quietly, *locked_wheels)
    emulated(folder, *quietly, str(ours))


def add_kernels(site: Path) -> None:
    """Put kernels/cpu, compiled here for there, where a wheel of that processor has them."""
    prebuilt = site / "edgerecon" / "_shipped" / "kernels" / "prebuilt"
    library = compile_library(Compiler(Path(COMPILER), COMPILER), (*FLAGS, *LINKED))
    seal(prebuilt / f"edgerecon_cpu.aarch64{SUFFIX}", "aarch64", COMPILER, library)


def emulated(folder: Path, *arguments: str) -> None:
    """Run Python with these arguments as an aarch64 process."""
    qemu = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static") or "qemu-aarch64"
    python = folder / "root" / "usr" / "bin" / f"python{PYTHON}"
    paths = {"PYTHONPATH": str(folder / "site"), "PYTHONHOME": str(folder / "root" / "usr")}
    there = {**os.environ, **paths, "OMP_NUM_THREADS": "1", "QEMU_CPU": CPU, "EDGERECON_CACHE": str(folder / "cache")}
    run(qemu, "-L", str(folder / "root"), str(python), *arguments, env=there)


@contextmanager
def step(name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    sys.stdout.write(f"{time.monotonic() - began:6.1f} s  {name}\n")
    sys.stdout.flush()


def run(*command: str, env: dict[str, str] | None = None) -> None:
    subprocess.run(command, check=True, timeout=SECONDS, env=env, cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))

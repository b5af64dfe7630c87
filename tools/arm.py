"""Run the device world on aarch64 without a board: Debian's Python under qemu-user, on the bundles that boards install.

    python tools/arm.py .arm     needs root or user namespaces for mmdebstrap; Debian's mmdebstrap, qemu-user and
                                 g++-aarch64-linux-gnu

The root file system is downloaded and unpacked, never entered: only Python runs, through qemu. The Raspberry Pi's
bundle is installed from the archive alone by the board's own pip; the Jetson's by the pip of this machine, for aarch64.
Each runs its self-test. Fixed frames then go through every shipped file there and here, on ONNX Runtime and on our own
kernels, and are compared. An emulator says what is computed, never how fast.
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
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from edgerecon.cpu.compile import FLAGS, Compiler, compile_library  # noqa: E402
from edgerecon.cpu.store import SUFFIX, seal  # noqa: E402
from edgerecon.deploy.bundle.bundle import bundle  # noqa: E402
from edgerecon.deploy.bundle.lock import pins  # noqa: E402
from edgerecon.deploy.bundle.packed_model import of_recipe  # noqa: E402
from edgerecon.hardware.device import load_device  # noqa: E402
from edgerecon.workshop.recipe import load_recipe  # noqa: E402
from tools.arm_compare import compare  # noqa: E402

FRAMES = ROOT / "tools" / "arm_frames.py"
DEBIAN, PYTHON, MIRROR = "bookworm", "3.11", "http://deb.debian.org/debian"
PI, JETSON = "raspberry-pi-5", "jetson-orin-nano"
CPU, CORES = "cortex-a76", 4
PLATFORMS = tuple(f"manylinux_2_{minor}_aarch64" for minor in (28, 27, 26, 24, 17)) + ("manylinux2014_aarch64",)
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
"""/proc/cpuinfo of the Pi. qemu 7.2 shows this machine's, by which ONNX Runtime from 1.21 on ends with SIGSEGV."""


def main(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    with step("Debian's Python for arm64"):
        make_root(folder / "root")
    site = folder / "site"
    with step(f"bundle for {PI}, with every package"):
        packed = make_bundle(folder, PI)
    with step("installation from the archive alone"):
        install(folder, packed, site)
    with step("self-test of the bundle"):
        emulated(folder, site, "-m", "edgerecon.deploy.bundle.acceptance", str(packed))
    with step(f"bundle for {JETSON}, installed and tested"):
        packed = make_bundle(folder, JETSON)
        install_from_here(packed, folder / "site-jetson")
        emulated(folder, folder / "site-jetson", "-m", "edgerecon.deploy.bundle.acceptance", str(packed))
    with step("our kernels, for aarch64 and for here"):
        add_kernels(site)
        run(sys.executable, "-m", "edgerecon", "kernels", "build", "--cpu")
    with step("every shipped file, there and here"):
        emulated(folder, site, str(FRAMES), str(folder / "aarch64.npz"))
        run(sys.executable, str(FRAMES), str(folder / "x86_64.npz"))
        failed = compare(folder / "x86_64.npz", folder / "aarch64.npz", sys.stdout)
    with step("a stream"):
        command = ("-m", "edgerecon", "stream", "sample", "compact-despeckle-small-int8", "--backend", "onnxruntime")
        patient = ("--threads", "1", "--frames", "3", "--policy", "every", "--no-pace", "--watchdog", "300s")
        emulated(
            folder, site, *command, *patient, "--sink", str(folder / "out.npz"), "--json", str(folder / "report.json")
        )
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


def make_bundle(folder: Path, board: str) -> Path:
    """The bundle's folder, as ``tar -xzf`` leaves it on the board.

    Of the Jetson it is one for Debian's Python, since no registry that this runs with has Ubuntu's.
    """
    archive, unpacked = folder / f"{board}.tar.gz", folder / board
    device = load_device(board)
    device = replace(device, versions={**device.versions, "python": PYTHON})
    recipe = load_recipe(ROOT / "export" / "compact-despeckle.toml")
    bundle(of_recipe(recipe, ROOT / "export"), device, archive, backend="onnxruntime", wheels=True)
    shutil.rmtree(unpacked, ignore_errors=True)
    with tarfile.open(archive) as file:
        file.extractall(unpacked, filter="data")
    (found,) = (path for path in unpacked.iterdir() if path.is_dir())
    return found


def install(folder: Path, packed: Path, site: Path) -> None:
    """What install.sh does with pip, by the board's Python and pip: no network, every hash checked."""
    (pip,) = (folder / "root" / "usr" / "share" / "python-wheels").glob("pip-*.whl")
    for wanted in wanted_wheels(packed, site):
        emulated(folder, site, str(pip / "pip"), "install", "-q", "--no-compile", *wanted)


def install_from_here(packed: Path, site: Path) -> None:
    """The same by the pip of this machine, which takes seconds: it is told what the board is."""
    board = ("--python-version", PYTHON, "--implementation", "cp", "--only-binary=:all:")
    platforms = (word for platform in PLATFORMS for word in ("--platform", platform))
    pip = (
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "--no-compile",
        *platforms,
        *board,
    )
    for wanted in wanted_wheels(packed, site):
        run(*pip, *wanted)


def wanted_wheels(packed: Path, site: Path) -> list[tuple[str, ...]]:
    """pip's arguments for what the lock names, then for ours; the folder is emptied.

    Sources are left out: pip would start another Python to build them, which the kernel here cannot.
    """
    shutil.rmtree(site, ignore_errors=True)
    (ours,) = (packed / "wheels").glob("edgerecon-*.whl")
    built = {path.name.partition("-")[0].lower() for path in (packed / "wheels").glob("*.whl")}
    locked = pins((packed / "requirements.txt").read_text(encoding="utf-8"))
    kept = [pin for pin in locked if pin.name.replace("-", "_").lower() in built]
    if left := sorted({pin.name for pin in locked} - {pin.name for pin in kept}):
        sys.stdout.write(f"not installed, for want of a wheel: {', '.join(left)}\n")
    lines = (" ".join([f"{pin.name}=={pin.version}", *(f"--hash=sha256:{one}" for one in pin.hashes)]) for pin in kept)
    lock = packed.parent / "wheels.txt"
    lock.write_text("\n".join(lines) + "\n", encoding="utf-8")
    alone = ("--no-index", "--no-deps", "--target", str(site))
    return [(*alone, "--find-links", str(packed / "wheels"), "--require-hashes", "-r", str(lock)), (*alone, str(ours))]


def add_kernels(site: Path) -> None:
    """Put kernels/cpu, compiled here for there, where a wheel of that processor has them."""
    prebuilt = site / "edgerecon" / "_shipped" / "kernels" / "prebuilt"
    library = compile_library(Compiler(Path(COMPILER), COMPILER), (*FLAGS, *LINKED))
    seal(prebuilt / f"edgerecon_cpu.aarch64{SUFFIX}", "aarch64", COMPILER, library)


def emulated(folder: Path, site: Path, *arguments: str) -> None:
    """Run Python with these arguments and the packages of a folder as an aarch64 process.

    It does not run in the checkout, whose edgerecon ``-m`` would take instead of the installed one.
    """
    qemu = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static") or "qemu-aarch64"
    python = folder / "root" / "usr" / "bin" / f"python{PYTHON}"
    paths = {"PYTHONPATH": str(site), "PYTHONHOME": str(folder / "root" / "usr")}
    there = {**os.environ, **paths, "OMP_NUM_THREADS": "1", "QEMU_CPU": CPU, "EDGERECON_CACHE": str(folder / "cache")}
    run(qemu, "-L", str(folder / "root"), str(python), *arguments, env=there, place=folder)


@contextmanager
def step(name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    sys.stdout.write(f"{time.monotonic() - began:6.1f} s  {name}\n")
    sys.stdout.flush()


def run(*command: str, env: dict[str, str] | None = None, place: Path = ROOT) -> None:
    subprocess.run(command, check=True, timeout=SECONDS, env=env, cwd=place)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))

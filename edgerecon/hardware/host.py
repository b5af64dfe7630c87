"""Facts about this host: what a measurement must state beside its figures."""

from __future__ import annotations

import copy
import os
import platform
import re
import shutil
import subprocess
from datetime import datetime, timezone
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edgerecon.core import __version__

FEATURES = (
    "sse4_2",
    "f16c",
    "fma",
    "avx",
    "avx2",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
    "asimd",
    "asimdhp",
    "asimddp",
    "bf16",
    "i8mm",
    "sve",
    "sve2",
)
"""CPU features, in the kernel's spelling, that decide which precision is fast. On Arm, Neon is ``asimd``."""

_PACKAGES = (
    "numpy",
    "opencv-python-headless",
    "opencv-python",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "tensorrt",
    "tensorrt-rtx-cu13",
    "pycuda",
    "torch",
    "av",
)
_CHECKOUT = Path(__file__).resolve().parents[2]


def host_profile() -> dict[str, object]:
    """Facts about this host, ready for JSON. Never fails: what cannot be learnt is None or empty.

    Returns:
        hostname, board (of a Jetson or another device-tree machine), cpu (model name), cores_physical and
        cores_logical (those this process may use), memory_gb (10⁹ bytes), cpu_features, gpus (names), os,
        python, packages (name → version, without importing them), commit (of the checkout edgerecon runs
        from), date (UTC, ISO 8601, of this call).
    """
    profile = copy.deepcopy(_facts())
    profile["date"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return profile


@lru_cache(maxsize=1)
def _facts() -> dict[str, object]:
    cpuinfo = _read("/proc/cpuinfo")
    physical, logical = _cores()
    return {
        "hostname": platform.node(),
        "board": _read("/proc/device-tree/model").strip("\0\n ") or None,
        "cpu": _cpu_model(cpuinfo),
        "cores_physical": physical,
        "cores_logical": logical,
        "memory_gb": _memory_gb(),
        "cpu_features": _cpu_features(cpuinfo),
        "gpus": _gpus(),
        "os": _os_name(),
        "python": platform.python_version(),
        "packages": _versions(),
        "commit": _commit(_CHECKOUT),
    }


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _output_of(*command: str) -> str:
    """Standard output of a short command, or "" when it is absent, fails or hangs."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _cpu_model(cpuinfo: str) -> str:
    named = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return named.group(1).strip() if named else platform.processor() or platform.machine()


def _cpu_features(cpuinfo: str) -> list[str]:
    listed = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    have = set(listed.group(1).split()) if listed else set()
    return [name for name in FEATURES if name in have]


def usable_cores() -> int:
    """Logical cores that this process may use: those of its affinity mask, where the system has one."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cores() -> tuple[int, int]:
    """(physical, logical) cores that this process may use; taken for the same where the system does not tell."""
    if not hasattr(os, "sched_getaffinity"):
        return usable_cores(), usable_cores()
    usable = os.sched_getaffinity(0)
    cores = set()
    for cpu in usable:
        topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology")
        core = _read(topology / "core_id").strip()
        cores.add((_read(topology / "physical_package_id").strip(), core) if core else ("", f"cpu{cpu}"))
    return len(cores), len(usable)


def _memory_gb() -> float | None:
    if not hasattr(os, "sysconf"):
        return None
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)
    except (OSError, ValueError):
        return None


def _gpus() -> list[str]:
    """NVIDIA GPU names; the driver's own files first, because nvidia-smi can take a second to start."""
    try:
        infos = [_read(path) for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))]
    except OSError:
        infos = []
    names = [m.group(1).strip() for text in infos if (m := re.search(r"^Model:\s*(.+)$", text, re.MULTILINE))]
    return names or _output_of("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").split("\n")[:-1]


def _os_name() -> str:
    pretty = re.search(r'^PRETTY_NAME="?([^"\n]+)', _read("/etc/os-release"), re.MULTILINE)
    return f"{pretty.group(1)}, Linux {platform.release()}" if pretty else platform.platform()


def _versions() -> dict[str, str]:
    found = {"edgerecon": __version__}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _commit(checkout: Path) -> str | None:
    """Commit the package runs from; None in an installed wheel, even inside somebody else's repository."""
    if not (checkout / ".git").exists():
        return None
    return _output_of("git", "-C", str(checkout), "rev-parse", "HEAD").strip() or None

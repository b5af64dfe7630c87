"""What this machine can run, what is missing, and the command that adds it."""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from edgerecon.core.checksums import SUMS, parse_sums, sha256
from edgerecon.core.errors import first_line
from edgerecon.core.shipped import resource_dir
from edgerecon.engines.backend import Backend, backends
from edgerecon.hardware.device import host_profile
from edgerecon.stream.sinks.files.part import leftovers


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        name: what was looked at.
        ok: whether it is there and works.
        detail: what was found, or what its absence costs.
        remedy: the command that adds it; "" when nothing is missing or no command can help.
        required: whether edgerecon cannot work without it. The rest is optional.
    """

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    required: bool = False


def diagnose(recordings: Path = Path(".")) -> list[Check]:
    """Look at the host, the runtimes, the optional packages, the shipped models and a folder of recordings.

    Changes nothing, never fails.
    """
    return [
        check_cpu(),
        check_gpu(),
        check_onnxruntime(),
        *(check_backend(one) for one in backends().values() if one.name != "onnxruntime"),
        _optional("video files", ("av",), "reads video, writes MP4", "pip install 'edgerecon[stream]'"),
        _optional(
            "live viewer",
            ("starlette", "uvicorn", "websockets"),
            "shows a stream in the browser",
            "pip install 'edgerecon[stream]'",
        ),
        _optional(
            "training",
            ("torch", "lightning_fabric", "onnx", "onnxscript", "numba", "h5py", "skimage", "matplotlib"),
            "simulates, trains and exports models",
            "pip install 'edgerecon[train]'",
        ),
        check_models(),
        check_recordings(recordings),
    ]


def check_cpu() -> Check:
    """Cores, memory and the features that decide which precision is fast."""
    host = host_profile()
    features = host["cpu_features"]
    listed = ", ".join(map(str, features)) if isinstance(features, list) and features else "no features known"
    memory = f", {host['memory_gb']} GB memory" if host["memory_gb"] else ""
    cores = f"{host['cores_physical']} cores, {host['cores_logical']} threads"
    return Check("CPU", True, f"{host['cpu']}: {cores}{memory}; {listed}")


def check_gpu() -> Check:
    """NVIDIA GPUs and whether their driver answers."""
    gpus = host_profile()["gpus"]
    if isinstance(gpus, list) and gpus:
        return Check("NVIDIA GPU", True, ", ".join(map(str, gpus)))
    if shutil.which("nvidia-smi"):
        return Check("NVIDIA GPU", False, "a driver is installed but finds no GPU", "nvidia-smi")
    return Check("NVIDIA GPU", False, "none found; CPU runtimes are used")


def check_onnxruntime() -> Check:
    """ONNX Runtime: the one runtime that every installation needs."""
    try:
        runtime = import_module("onnxruntime")
        providers = [name.removesuffix("ExecutionProvider") for name in runtime.get_available_providers()]
    except Exception as error:  # noqa: BLE001 - a broken native library fails in many ways; doctor reports them all
        return Check("ONNX Runtime", False, first_line(error), "pip install onnxruntime", required=True)
    return Check("ONNX Runtime", True, f"{runtime.__version__}: {', '.join(providers)}", required=True)


def check_backend(backend: Backend) -> Check:
    """A runtime, as its own record says."""
    reason = backend.probe()
    if reason:
        return Check(backend.title, False, reason, backend.remedy.removeprefix("run").strip())
    versions = [f"{name} {found}" for name in backend.packages if (found := _version(name))]
    return Check(backend.title, True, ", ".join(versions) or "ready")


def check_models() -> Check:
    """The shipped ONNX files against their SHA-256 list (``export/SHA256SUMS``, as ``sha256sum`` writes it)."""
    try:
        folder = resource_dir("export")
        wanted = _read_sums(folder / SUMS)
        wrong = [file for file, digest in wanted.items() if _sha256(folder / file) != digest]
        unlisted = sorted({path.name for path in folder.glob("*.onnx")} - set(wanted))
    except (OSError, ValueError) as error:
        return _models(False, first_line(error))
    models = [file.removesuffix(".onnx") for file in wanted if file.endswith(".onnx")]
    faults = [f"{file} is missing or changed" for file in wrong] + [f"{file} has no checksum" for file in unlisted]
    if faults or not models:
        return _models(False, "; ".join(faults) or "none are installed")
    return _models(True, f"{', '.join(models)}; checksums match")


def check_recordings(folder: Path) -> Check:
    """Recordings that a kill, a power failure or a full disk cut off."""
    cut = leftovers(folder)
    if not cut:
        return Check("recordings", True, f"none in {folder.resolve()} was cut off")
    detail = f"cut off: {', '.join(one.path.name for one in cut)}"
    return Check("recordings", False, detail, f"edgerecon recover {shlex.quote(str(folder))}")


def _models(ok: bool, detail: str) -> Check:
    in_checkout = (Path(__file__).resolve().parents[2] / ".git").exists()
    remedy = "git checkout -- export" if in_checkout else "pip install --force-reinstall edgerecon"
    return Check("shipped models", ok, detail, "" if ok else remedy, required=True)


def _optional(name: str, modules: tuple[str, ...], purpose: str, remedy: str) -> Check:
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        return Check(name, False, f"{', '.join(missing)} absent: {purpose}", remedy)
    return Check(name, True, ", ".join(f"{module} {_version(module)}" for module in modules))


def _version(module: str) -> str:
    for distribution in (module, module.replace("_", "-"), {"skimage": "scikit-image"}.get(module, module)):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return ""


def _read_sums(path: Path) -> dict[str, str]:
    """File name → SHA-256 in hex."""
    if not path.is_file():
        raise FileNotFoundError(f"the list of checksums, export/{path.name}, is missing")
    try:
        sums = parse_sums(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path.name} has {error}") from None
    if strange := [name for name in sums if os.path.basename(name) != name]:
        raise ValueError(f"{path.name} has no checksum but of files beside it, and names {strange[0]}")
    return sums


def _sha256(path: Path) -> str:
    return sha256(path.read_bytes()) if path.is_file() else ""

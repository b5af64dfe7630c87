"""A model for one device, in one archive that installs, tests and documents itself."""

from __future__ import annotations

import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template

import cv2
import numpy as np

from edgerecon.core import __version__
from edgerecon.core.checksums import sha256
from edgerecon.core.errors import GateError, UsageError
from edgerecon.core.files import read
from edgerecon.core.frame import Image, to_unit
from edgerecon.deploy.bundle.acceptance import pack_frames
from edgerecon.deploy.bundle.archive import CONFIG, MAX_MEMBER, BundleError, write_archive
from edgerecon.deploy.bundle.bundle_config import BundleConfig, StreamSettings, make_config
from edgerecon.deploy.bundle.jetson import container_tag, is_jetson, jetson_notes
from edgerecon.deploy.bundle.lock import Target, download, lock, pins
from edgerecon.deploy.bundle.own_wheel import own_wheel, wheel_name
from edgerecon.deploy.bundle.packages import licence_texts, our_licence, target_packages
from edgerecon.deploy.bundle.packed_model import PackedModel
from edgerecon.deploy.bundle.sbom import sbom
from edgerecon.deploy.difference import difference
from edgerecon.engines import backends, open_engine
from edgerecon.hardware.device import DeviceProfile
from edgerecon.modelfile.file import ModelFile, read_model
from edgerecon.modelfile.variants import check_precision, variant

LOCK = "requirements.txt"
_SETTINGS = StreamSettings()
_TEMPLATES = Path(__file__).resolve().parent / "files"
_GPU = """\
# The GPU's device nodes are open to these groups; the driver must have made them before (nvidia-persistenced does).
SupplementaryGroups=video render"""
_CPU = """\
PrivateDevices=yes
DevicePolicy=closed"""


@dataclass(frozen=True)
class BundleResult:
    """What was written.

    Attributes:
        path, sha256, size_kb: the archive. model, backend, precision: what it runs.
        why: of that precision, when it was not asked for. python, machine: what it installs on.
        files: its names. max_error: of the model in ONNX Runtime here against its first file (fp32, but of an adopted
            model in another precision), on the packed frames.
    """

    path: Path
    sha256: str
    size_kb: float
    model: str
    backend: str
    precision: str
    why: str
    machine: str
    python: str
    files: tuple[str, ...]
    max_error: float


def bundle(
    packed: PackedModel,
    device: DeviceProfile,
    out: Path,
    *,
    precision: str | None = None,
    backend: str | None = None,
    settings: StreamSettings = _SETTINGS,
    engine: Path | None = None,
    wheels: bool = False,
) -> BundleResult:
    """Pack a model for a device, with the wheel of this edgerecon and a lock of what it needs there.

    The bytes depend on the model, the profile, this edgerecon and the lock alone.

    Args:
        packed: ``of_recipe`` or ``of_file`` of ``edgerecon.deploy.bundle.packed_model``. out: a .tar.gz file.
        precision: "fp32", "fp16", "bf16" (the fp32 file, run in bfloat16) or "int8"; default: what the profile prefers
            on its first backend, where the recipe has such a file and a gate for it, else fp32; of an adopted file,
            what it holds.
        backend: default: the first of the device's that this edgerecon has.
        settings: of the stream on the device.
        engine: made by ``edgerecon build`` for this device; packed under the name by which its model finds it.
        wheels: pack the locked packages too, for a device without a network.

    Raises:
        UsageError: unknown backend or precision, or one that does not exist there. ModelError: a file is missing or
            broken. RecipeError: ``gates.max_difference`` is needed for this precision and not given. GateError: the
            model already differs by more than that here. BundleError: the archive cannot be written. EdgereconError:
            what the target needs is neither kept nor to be resolved here, see ``lock``.
    """
    if not out.name.endswith(".tar.gz"):
        raise UsageError(f"a bundle is a .tar.gz file: write it to {out.name}.tar.gz")
    backend = _backend(device, backend)
    target = _target(device)
    precision, why = _precision(packed, device, backend) if precision is None else (precision, "asked for")
    model = _model(packed, precision, backend)
    tolerance = packed.tolerance(precision)
    frames, max_error = _expected(model, packed, tolerance)
    config = make_config(
        name=model.path.stem,
        version=__version__,
        device=device.name,
        backend=backend,
        precision=precision,
        **asdict(settings),
        model=model.path.name,
        engine=f"{model.path.stem}.{device.name}.engine" if engine else None,
        tolerance=tolerance,
        recipe_hash=packed.made_from,
        machine=target.machine,
        python=target.python,
    )
    files = _files(config, device, model, frames, engine, packed, _needed(backend, target, wheels))
    sha256 = write_archive(out, files, folder_name(config))
    return BundleResult(
        path=out,
        sha256=sha256,
        size_kb=out.stat().st_size / 1000,
        model=config.model,
        backend=backend,
        precision=precision,
        why=why,
        machine=target.machine,
        python=target.python,
        files=tuple(sorted(files)),
        max_error=max_error,
    )


@dataclass(frozen=True)
class Needed:
    """What runs the model. wheel: of this edgerecon. lock: of what that requires. wheels: name → content, if asked."""

    wheel: bytes
    lock: str
    extras: Sequence[str]
    wheels: Mapping[str, bytes]


def _needed(backend: str, target: Target, wheels: bool) -> Needed:
    extras = tuple(filter(None, ("stream", backends()[backend].extra)))
    return Needed(own_wheel(), lock(extras, target), extras, _downloaded(extras, target) if wheels else {})


def folder_name(config: BundleConfig) -> str:
    """The folder that the archive unpacks into, e.g. "compact-despeckle-0.1.0-jetson-orin-nano"."""
    return f"{config.name}-{config.version}-{config.device}"


def _target(device: DeviceProfile) -> Target:
    """The device's machine and Python; where its system software is not fixed, the Python of this machine."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Target(device.machine or platform.machine(), device.versions.get("python", here))


def _precision(packed: PackedModel, device: DeviceProfile, backend: str) -> tuple[str, str]:
    """What the profile prefers, or what the first file holds, and why."""
    wanted = device.precision
    if packed.precision != "fp32":
        return packed.precision, f"{packed.first.path.name} holds it"
    if wanted in (None, "fp32") or backend != device.backends[0]:
        return "fp32", f"{device.name} prefers {wanted} on {device.backends[0]}" if wanted else "no other is preferred"
    file = _file_name(packed.name, str(wanted), backend)
    if not packed.first.path.with_name(file).is_file():
        return "fp32", f"{device.name} prefers {wanted}, and there is no {file}"
    if packed.derived_limit is None:
        return "fp32", f"{device.name} prefers {wanted}, and the recipe has no gates.max_difference for it"
    return str(wanted), f"{device.name} prefers it"


def _downloaded(extras: Sequence[str], target: Target) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory(prefix="edgerecon-") as place:
        return {path.name: path.read_bytes() for path in download(lock(extras, target), target, Path(place))}


def _backend(device: DeviceProfile, wanted: str | None) -> str:
    usable = [name for name in device.backends if name in backends()]
    if wanted is None and usable:
        return usable[0]
    if wanted is None:
        fpga = f": `edgerecon build --device {device.name}` writes hardware for it" if device.kind == "fpga" else ""
        raise UsageError(f"no runtime streams on {device.name}{fpga}")
    if wanted not in usable:
        raise UsageError(f"{device.name} has no backend '{wanted}': choose one of {', '.join(usable) or 'none'}")
    return wanted


def _file_name(name: str, precision: str, backend: str) -> str:
    check_precision(precision)
    stored = "fp32" if precision == "bf16" else precision
    fitting = [one for one in map(variant, backends()[backend].runs) if one.precision == stored]
    if not fitting:
        raise UsageError(f"backend {backend} runs no {precision} files: choose another precision")
    return f"{name}{fitting[0].suffix}.onnx"


def _model(packed: PackedModel, precision: str, backend: str) -> ModelFile:
    """The file in a precision, beside the first one."""
    if precision == "bf16" and "bf16" not in backends()[backend].computes.get("fp32", ()):
        raise UsageError(f"backend {backend} has no bf16 for CPUs: choose another precision")
    first = packed.first
    same = precision == packed.precision
    model = first if same else read_model(first.path.with_name(_file_name(packed.name, precision, backend)))
    _check_match(model, first, precision)
    return model


def _check_match(model: ModelFile, reference: ModelFile, precision: str) -> None:
    stored = "fp32" if precision == "bf16" else precision
    if model.spec.precision != stored:
        raise UsageError(f"{model.path.name} holds {model.spec.precision}, not {stored}: export it again")
    if model.spec.recipe_hash != reference.spec.recipe_hash:
        raise UsageError(f"{model.path.name} and {reference.path.name} are of different recipes: export both again")


def _expected(model: ModelFile, packed: PackedModel, tolerance: float) -> tuple[bytes, float]:
    """The packed frames with what the first file makes of them, and how far the model in ONNX Runtime is from that.

    Raises:
        GateError: further than the tolerance.
    """
    frames, reference = speckle_frames(packed.sizes), packed.first
    with (
        closing(open_engine(reference, "onnxruntime", threads=1)) as exact,
        closing(open_engine(model, "onnxruntime", threads=1)) as derived,
    ):
        pairs: list[tuple[np.ndarray, Image]] = [(frame, exact.run(to_unit(frame))) for frame in frames]
        errors = [difference(model.spec, derived.run(to_unit(frame)), expected) for frame, expected in pairs]
    max_error = float(np.max(errors))
    if not max_error <= tolerance:
        raise GateError(
            f"{model.path.name} differs from {reference.path.name} by {max_error:.2g}, allowed is {tolerance:.2g}"
        )
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "frames.npz"
        pack_frames(path, pairs)
        return path.read_bytes(), max_error


def speckle_frames(sizes: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    """Fully developed speckle around a dark disc, log-compressed to 60 dB: uint8 (H, W), the same at every call.

    The envelope of circular Gaussian scattering is Rayleigh distributed (Goodman, J. Opt. Soc. Am. 66, 1976).
    """
    rng = np.random.default_rng(0)
    frames = []
    for height, width in sizes:
        field = cv2.GaussianBlur(rng.standard_normal((height, width, 2)), (0, 0), 1.5)
        rows, columns = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        envelope = np.hypot(field[..., 0], field[..., 1]) * np.where(rows**2 + columns**2 < 0.25, 0.1, 1.0)
        decibels = 20 * np.log10(envelope / envelope.max() + 1e-6)
        frames.append(np.clip(255 * (1 + decibels / 60), 0, 255).astype(np.uint8))
    return frames


def _files(
    config: BundleConfig,
    device: DeviceProfile,
    model: ModelFile,
    frames: bytes,
    engine: Path | None,
    packed: PackedModel,
    needed: Needed,
) -> dict[str, bytes]:
    """Name → content of everything but SHA256SUMS."""
    packages = target_packages(pins(needed.lock), needed.wheel)
    try:
        files = {
            config.model: model.content,
            config.frames: frames,
            CONFIG: (config.model_dump_json(indent=2) + "\n").encode(),
            "licences/LICENSE": our_licence().encode(),
            "licences/THIRD_PARTY.txt": licence_texts(packages).encode(),
            LOCK: needed.lock.encode(),
            f"wheels/{wheel_name()}": needed.wheel,
            **{f"wheels/{name}": content for name, content in needed.wheels.items()},
            **{name: _filled(name, config, device, packed, needed.lock).encode() for name in _documents(device)},
        }
        if engine:
            files[str(config.engine)] = read(engine, MAX_MEMBER)
        card = model.path.with_suffix(".md")
        if card.is_file():
            files["MODEL_CARD.md"] = card.read_bytes()
    except OSError as error:
        raise BundleError(f"cannot make the bundle: {error}") from None
    system = dict(device.versions) if config.backend == "tensorrt" else {}
    files["sbom.json"] = sbom(config.name, config.version, files, packages, system, packed.licence)
    return files


def _documents(device: DeviceProfile) -> list[str]:
    names = ["README.md", "edgerecon-stream.service", "install.sh"]
    if is_jetson(device) and container_tag(device.versions["jetpack"]):
        names.append("Dockerfile.l4t")
    return names


def _filled(name: str, config: BundleConfig, device: DeviceProfile, packed: PackedModel, lock_text: str) -> str:
    """A template with the facts of this bundle."""
    jetpack = device.versions.get("jetpack", "")
    gpu = backends()[config.backend].kind == "gpu"
    return Template((_TEMPLATES / name).read_text(encoding="utf-8")).substitute(
        name=config.name,
        title=device.title,
        device=device.name,
        version=config.version,
        model=config.model,
        backend=config.backend,
        precision=config.precision,
        origin=packed.origin,
        tolerance=f"{config.tolerance:g}",
        threads=f"threads: {config.threads or 'one for each core'}",
        deadline=f"{config.deadline_ms:g} ms" if config.deadline_ms else "the source's frame period",
        folder=folder_name(config),
        machine=config.machine,
        python=config.python,
        environment=f"edgerecon-{config.version}-{sha256(lock_text.encode())[:8]}",
        python_words=str(config.python).replace(".", " "),
        wheel=wheel_name(),
        site="--system-site-packages" if is_jetson(device) and gpu else "",  # TensorRT is JetPack's
        options=stream_options(config),
        jetpack=jetpack,
        tag=container_tag(jetpack) or "",
        devices=_GPU if gpu else _CPU,
        private_devices="no" if gpu else "yes",
        camera="any camera, which its group opens with the GPU" if gpu else "that device, and no other",
        protect_clock="no" if gpu else "yes",  # it closes all device nodes but a few
        notes=jetson_notes(device) if is_jetson(device) else "",
    )


def stream_options(config: BundleConfig) -> str:
    """Of ``edgerecon stream``, so that it opens the engine as the self-test did."""
    words = ["--backend", config.backend]
    if config.precision == "bf16":
        words += ["--precision", config.precision]
    if config.threads:
        words += ["--threads", str(config.threads)]
    if config.deadline_ms:
        words += ["--deadline", f"{config.deadline_ms:g}"]
    if config.strength != 1:
        words += ["--strength", f"{config.strength:g}"]
    if config.protect != "auto":
        words += ["--protect", config.protect]
    if config.crop:
        words += ["--crop", config.crop]
    return " ".join(words)

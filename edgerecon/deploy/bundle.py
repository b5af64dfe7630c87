"""A model for one device, in one archive that installs, tests and documents itself."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from string import Template

import cv2
import numpy as np

from edgerecon import __version__
from edgerecon.deploy.archive import CONFIG, BundleError, write_archive
from edgerecon.deploy.bundle_config import BundleConfig, make_config
from edgerecon.deploy.jetson import container_tag, is_jetson, jetson_notes
from edgerecon.deploy.packages import OURS, licence_texts, our_licence, runtime_packages
from edgerecon.deploy.sbom import sbom
from edgerecon.deploy.self_test import pack_frames
from edgerecon.device import DeviceProfile
from edgerecon.engines import BACKENDS, open_engine
from edgerecon.engines.model_file import ModelFile, read_model
from edgerecon.errors import GateError, RecipeError, UsageError
from edgerecon.frame import Image, to_unit
from edgerecon.recipe import Recipe, ShapesTable

_TEMPLATES = Path(__file__).resolve().parent / "bundle_files"
_EXTRAS = {"onnxruntime": "[stream]", "openvino": "[stream,openvino]", "tensorrt": "[stream,nvidia]"}
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
        files: its names. max_error: of the model in ONNX Runtime here against the fp32 file, on the packed frames.
    """

    path: Path
    sha256: str
    size_kb: float
    model: str
    backend: str
    precision: str
    files: tuple[str, ...]
    max_error: float


def bundle(
    recipe: Recipe,
    folder: Path,
    device: DeviceProfile,
    out: Path,
    *,
    precision: str = "fp32",
    backend: str | None = None,
    threads: int | None = None,
    deadline_ms: float | None = None,
    engine: Path | None = None,
) -> BundleResult:
    """Pack a model of a recipe for a device.

    The bytes depend on the model, the profile and the installed package versions alone.

    Args:
        folder: where the recipe's ONNX files are, as a rule that of the recipe. out: a .tar.gz file.
        precision: "fp32", "fp16", "bf16" (the fp32 file, run in bfloat16) or "int8".
        backend: default: the first of the device's that this edgerecon has.
        threads: of the engine; default: all cores. deadline_ms: of the stream; default: the source's frame period.
        engine: made by ``edgerecon build`` for this device; packed under the name by which its model finds it.

    Raises:
        UsageError: unknown backend or precision, or one that does not exist there. ModelError: a file is missing or
        broken. RecipeError: ``gates.max_difference`` is needed for this precision and not given.
        GateError: the model already differs by more than that here. BundleError: the archive cannot be written.
    """
    if not out.name.endswith(".tar.gz"):
        raise UsageError(f"a bundle is a .tar.gz file: write it to {out.name}.tar.gz")
    backend = _backend(device, backend)
    if precision == "bf16" and backend != "openvino":
        raise UsageError(f"backend {backend} has no bf16 for CPUs: choose another precision")
    reference = read_model(folder / f"{recipe.model.name}.onnx")
    model = read_model(folder / _file_name(recipe.model.name, precision, backend))
    _check_match(model, reference, precision)
    tolerance = _tolerance(recipe, precision)
    frames, max_error = _expected(model, reference, recipe.shapes)
    if not max_error <= tolerance:
        raise GateError(
            f"{model.path.name} differs from {reference.path.name} by {max_error:.2g}, allowed is {tolerance:.2g}"
        )
    config = make_config(
        name=model.path.stem,
        version=__version__,
        device=device.name,
        backend=backend,
        precision=precision,
        threads=threads,
        deadline_ms=deadline_ms,
        model=model.path.name,
        engine=f"{model.path.stem}.{device.name}.engine" if engine else None,
        tolerance=tolerance,
        recipe_hash=reference.spec.recipe_hash,
    )
    files = _files(config, device, model, frames, engine, recipe.model.licence)
    sha256 = write_archive(out, files)
    return BundleResult(out, sha256, out.stat().st_size / 1000, config.model, backend, precision, tuple(sorted(files)),
                        max_error)  # fmt: skip


def _backend(device: DeviceProfile, wanted: str | None) -> str:
    usable = [name for name in device.backends if name in BACKENDS]
    if wanted is None and usable:
        return usable[0]
    if wanted is None:
        fpga = f": `edgerecon build --device {device.name}` writes hardware for it" if device.kind == "fpga" else ""
        raise UsageError(f"no runtime streams on {device.name}{fpga}")
    if wanted not in usable:
        raise UsageError(f"{device.name} has no backend '{wanted}': choose one of {', '.join(usable) or 'none'}")
    return wanted


def _file_name(name: str, precision: str, backend: str) -> str:
    suffixes = {"fp32": "", "bf16": "", "fp16": "-fp16", "int8": "-int8-trt" if backend == "tensorrt" else "-int8"}
    if precision not in suffixes:
        raise UsageError(f"unknown precision '{precision}': choose one of {', '.join(suffixes)}")
    return f"{name}{suffixes[precision]}.onnx"


def _check_match(model: ModelFile, reference: ModelFile, precision: str) -> None:
    stored = "fp32" if precision == "bf16" else precision
    if model.spec.precision != stored:
        raise UsageError(f"{model.path.name} holds {model.spec.precision}, not {stored}: export it again")
    if reference.spec.precision != "fp32":
        raise UsageError(f"{reference.path.name} holds {reference.spec.precision}, not fp32: export it again")
    if model.spec.recipe_hash != reference.spec.recipe_hash:
        raise UsageError(f"{model.path.name} and {reference.path.name} are of different recipes: export both again")


def _tolerance(recipe: Recipe, precision: str) -> float:
    gates = recipe.gates
    limit = gates.max_abs_error if precision == "fp32" else gates.max_difference
    if limit is None:
        raise RecipeError(
            f"gates.max_difference: give it in the recipe of {recipe.model.name}; the self-test of a bundle in "
            f"{precision} needs it"
        )
    return limit


def _expected(model: ModelFile, reference: ModelFile, shapes: ShapesTable) -> tuple[bytes, float]:
    """The packed frames with what the fp32 file makes of them, and how far the model in ONNX Runtime is from that."""
    frames = speckle_frames(_sizes(shapes))
    with (
        closing(open_engine(reference.path, "onnxruntime", threads=1)) as exact,
        closing(open_engine(model.path, "onnxruntime", threads=1)) as derived,
    ):
        pairs: list[tuple[np.ndarray, Image]] = [(frame, exact.run(to_unit(frame))) for frame in frames]
        errors = [np.abs(derived.run(to_unit(frame)) - expected).max() for frame, expected in pairs]
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "frames.npz"
        pack_frames(path, pairs)
        return path.read_bytes(), float(np.max(errors))


def _sizes(shapes: ShapesTable) -> list[tuple[int, int]]:
    """The fixed size, or the smallest one and an odd one, which is padded."""
    if shapes.fixed:
        return [shapes.fixed]
    odd = [min(low + more, high) for low, high, more in zip(shapes.min, shapes.max, (37, 67), strict=True)]
    return [shapes.min, (odd[0], odd[1])]


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
    licence: str,
) -> dict[str, bytes]:
    """Name → content of everything but SHA256SUMS."""
    packages = runtime_packages(config.backend, is_jetson(device))
    if not any(package.name == OURS for package in packages):
        raise BundleError("edgerecon is not installed as a package, so its requirements are unknown: pip install it")
    try:
        files = {
            config.model: model.content,
            config.frames: frames,
            CONFIG: (config.model_dump_json(indent=2) + "\n").encode(),
            "licences/LICENSE": our_licence().encode(),
            "licences/THIRD_PARTY.txt": licence_texts(packages).encode(),
            "install.sh": (_TEMPLATES / "install.sh").read_bytes(),
            **{name: _filled(name, config, device).encode() for name in _documents(device)},
        }
        if engine:
            files[str(config.engine)] = engine.read_bytes()
        card = model.path.with_suffix(".md")
        if card.is_file():
            files["MODEL_CARD.md"] = card.read_bytes()
    except OSError as error:
        raise BundleError(f"cannot make the bundle: {error}") from None
    system = dict(device.versions) if config.backend == "tensorrt" else {}
    files["sbom.json"] = sbom(config.name, config.version, files, packages, system, licence)
    return files


def _documents(device: DeviceProfile) -> list[str]:
    names = ["README.md", "edgerecon-stream.service"]
    if is_jetson(device) and container_tag(device.versions["jetpack"]):
        names.append("Dockerfile.l4t")
    return names


def _filled(name: str, config: BundleConfig, device: DeviceProfile) -> str:
    """A template with the facts of this bundle."""
    jetpack = device.versions.get("jetpack", "")
    gpu = config.backend == "tensorrt"
    return Template((_TEMPLATES / name).read_text(encoding="utf-8")).substitute(
        name=config.name,
        title=device.title,
        device=device.name,
        version=config.version,
        model=config.model,
        backend=config.backend,
        precision=config.precision,
        recipe=config.recipe_hash[:16],
        tolerance=f"{config.tolerance:g}",
        threads=f"threads: {config.threads or 'one for each core'}",
        deadline=f"{config.deadline_ms:g} ms" if config.deadline_ms else "the source's frame period",
        extra=_EXTRAS.get(config.backend, "[stream]"),
        options=_options(config),
        jetpack=jetpack,
        tag=container_tag(jetpack) or "",
        devices=_GPU if gpu else _CPU,
        protect_clock="no" if gpu else "yes",  # it closes all device nodes but a few
        notes=jetson_notes(device) if is_jetson(device) else "",
    )


def _options(config: BundleConfig) -> str:
    """Of ``edgerecon stream``, so that it opens the engine as the self-test did."""
    words = ["--backend", config.backend]
    if config.precision == "bf16":
        words += ["--precision", config.precision]
    if config.threads:
        words += ["--threads", str(config.threads)]
    if config.deadline_ms:
        words += ["--deadline", f"{config.deadline_ms:g}"]
    return " ".join(words)

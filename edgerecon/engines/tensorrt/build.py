"""``edgerecon build``: a model compiled for a device, from the cache when it was built before."""

from __future__ import annotations

import hashlib
import logging
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from edgerecon.core.cache import cache_folder
from edgerecon.core.errors import DependencyError, EngineError, UsageError
from edgerecon.core.sealed_file import Refused, read_sealed, write_sealed
from edgerecon.cuda.memory import NO_DRIVER, Gpu, open_gpu
from edgerecon.engines.tensorrt.builder import RTX, TENSORRT, build_engine, installed, load_runtime, rtx_capabilities
from edgerecon.engines.tensorrt.engine_file import EngineFacts, Shapes, cache_path, read_engine, write_engine
from edgerecon.hardware.device import HOST, load_device
from edgerecon.modelfile.catalogue import model_path
from edgerecon.modelfile.file import ModelFile, read_model

_log = logging.getLogger(__name__)
_TIMING = "timing"


class Profile(Protocol):
    """What a build asks of a device profile (``edgerecon.hardware.device.DeviceProfile`` has it)."""

    @property
    def name(self) -> str:
        """Of the device."""
        ...

    @property
    def kind(self) -> str:
        """``gpu``, ``cpu``, ``fpga`` …"""
        ...

    @property
    def compute_capability(self) -> str | None:
        """Of an NVIDIA GPU, e.g. ``8.7``; None for other devices."""
        ...

    @property
    def backends(self) -> tuple[str, ...]:
        """Runtimes in order of preference."""
        ...


@dataclass(frozen=True)
class Target:
    """What an engine is built by, and for.

    Attributes:
        runtime: ``TENSORRT`` or ``RTX``. compute_capability: e.g. "8.6".
        gpu: the one that is here, on which TensorRT times its kernels; RTX needs none.
    """

    runtime: str
    compute_capability: str
    gpu: Gpu | None = None


@dataclass(frozen=True)
class BuildResult:
    """An engine file.

    Attributes:
        path, sha256, size_kb: of the file. model: its name. device: as asked for. facts: what the engine is.
        seconds: the builder took. cached: nothing was built, it was in the cache.
    """

    path: Path
    sha256: str
    size_kb: float
    model: str
    device: str
    facts: EngineFacts
    seconds: float
    cached: bool

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "path": str(self.path)}


def build(
    model: str | Path, device: str | Profile = HOST, out: Path | None = None, *, shapes: Shapes | None = None
) -> BuildResult:
    """Write the engine of a model for a device.

    Args:
        model: a shipped name or an ONNX file of ours. Its precision is the engine's; int8 for TensorRT is -int8-trt.
        device: a name of devices/, its profile, or "host" for the GPU that is here.
        out: the engine file; default: its place in the cache. Beside its model, as <model>.<anything>.engine, it is
            found when the model is opened; so is one in the cache.
        shapes: frame sizes; default: see ``Shapes``.

    Raises:
        UsageError: unknown model or device; one that needs no build or has none here (the reason is given); unsigned
        int8. DeviceError: the profile is invalid. ModelError: see ``read_model`` and ``parse``. DependencyError: what
        builds for this device is not installed. EngineError: no GPU, the builder failed, or ``out`` cannot be written.
    """
    file = read_model(model_path(model))
    target = _target(device)
    start = time.perf_counter()
    facts, engine, cached = obtain(file, target, shapes or Shapes(), must_keep=out is None)
    seconds = time.perf_counter() - start
    path = out or cache_path(file.path, facts)
    if out is not None:
        write_engine(out, facts, engine)
    content = path.read_bytes()
    name = device if isinstance(device, str) else device.name
    return BuildResult(
        path,
        hashlib.sha256(content).hexdigest(),
        len(content) / 1000,
        file.spec.name,
        name,
        facts,
        0.0 if cached else seconds,
        cached,
    )


def engine_facts(file: ModelFile, target: Target, shapes: Shapes) -> EngineFacts:
    """What the engine of a file for a target is, before it is built."""
    return EngineFacts(
        model=hashlib.sha256(file.content).hexdigest(),
        precision=file.spec.precision,
        runtime=target.runtime,
        version=load_runtime(target.runtime).__version__,
        compute_capability=target.compute_capability,
        gpu=target.gpu.name if target.gpu and target.runtime == TENSORRT else "",
        shapes=shapes.padded(file.spec.size_multiple),
    )


def obtain(
    file: ModelFile, target: Target, shapes: Shapes, *, must_keep: bool = False
) -> tuple[EngineFacts, bytes, bool]:
    """The engine of a file for a target, and whether it was in the cache; if not it is built, and kept there.

    Args:
        must_keep: fail when the cache cannot be written, instead of going on with the engine in memory.

    Raises:
        DependencyError, UsageError, ModelError, EngineError: see ``build``.
    """
    facts = engine_facts(file, target, shapes)
    path = cache_path(file.path, facts)
    if path.exists():
        try:
            return facts, read_engine(path, facts)[1], True
        except EngineError as error:
            _log.warning("%s", error)
    _log.info(
        "building %s for compute capability %s with %s %s",
        file.path.name,
        facts.compute_capability,
        facts.runtime,
        facts.version,
    )
    engine = _compile(file, target, facts)
    try:
        write_engine(path, facts, engine)
    except EngineError as error:
        if must_keep:
            raise
        _log.warning("the engine is not kept and will be built again: %s", error)
    return facts, engine, False


def host_targets(gpu: Gpu) -> list[Target]:
    """Ways to run on a GPU that is here, the preferred first.

    Raises:
        EngineError: none of the installed runtimes supports it. DependencyError: none is installed.
    """
    refusals = []
    found = []
    for name in installed():
        trt = load_runtime(name)
        if name == RTX and gpu.compute_capability not in rtx_capabilities(trt):
            refusals.append(_no_rtx(trt, gpu.compute_capability))
        else:
            found.append(Target(name, gpu.compute_capability, gpu))
    if not found and not refusals:
        raise DependencyError("tensorrt", "nvidia")
    if not found:
        raise EngineError(f"no engine for {gpu.name}: {refusals[0]}; install NVIDIA's tensorrt")
    return found


def _compile(file: ModelFile, target: Target, facts: EngineFacts) -> bytes:
    trt = load_runtime(target.runtime)
    if target.runtime == RTX:
        return build_engine(trt, file, facts.shapes, target.compute_capability)[0]
    place = (
        cache_folder() / f"{facts.runtime}-{facts.version}-{facts.gpu.replace(' ', '-').replace('/', '-')}.{_TIMING}"
    )
    with target.gpu.current() if target.gpu else nullcontext():
        engine, learnt = build_engine(trt, file, facts.shapes, timing=_timing(place))
    try:
        write_sealed(place, _TIMING, {}, learnt)
    except EngineError as error:
        _log.info("what the build learnt of this GPU is not kept: %s", error)
    return engine


def _timing(place: Path) -> bytes:
    """What earlier builds learnt about this GPU; TensorRT itself checks that it is of this GPU and version."""
    try:
        return read_sealed(place, _TIMING)[1]
    except Refused:
        return b""


def _target(device: str | Profile) -> Target:
    if device == HOST:
        return _host_target()
    profile: Profile = load_device(device) if isinstance(device, str) else device
    capability = profile.compute_capability
    if capability is None:
        raise UsageError(_no_build(profile))
    native = _native_target(capability)
    if RTX not in installed():
        if native:
            return native
        raise DependencyError("tensorrt-rtx-cu13", "nvidia")
    trt = load_runtime(RTX)
    if capability in rtx_capabilities(trt):
        return Target(RTX, capability)  # an engine for any GPU of that compute capability
    if native:
        return native
    raise UsageError(
        f"{profile.name}: {_no_rtx(trt, capability)}; build on the device itself, with its own TensorRT:  "
        f"edgerecon build MODEL --device {HOST}"
    )


def _host_target() -> Target:
    try:
        gpu = open_gpu()
    except EngineError as error:
        if not str(error).startswith(NO_DRIVER):
            raise
        raise EngineError(
            f"{NO_DRIVER}, and its CPU needs no build: openvino and onnxruntime compile a model when they open it"
        ) from None
    return host_targets(gpu)[0]


def _native_target(capability: str) -> Target | None:
    """The GPU that is here, when it is of that compute capability and TensorRT is installed."""
    if TENSORRT not in installed():
        return None
    try:
        gpu = open_gpu()
    except (EngineError, DependencyError):
        return None
    return Target(TENSORRT, capability, gpu) if gpu.compute_capability == capability else None


def _no_rtx(trt: Any, capability: str) -> str:
    return (
        f"TensorRT-RTX {trt.__version__} builds for compute capabilities {', '.join(rtx_capabilities(trt))}, "
        f"not {capability}"
    )


def _no_build(profile: Profile) -> str:
    if profile.kind == "cpu":
        return (
            f"{profile.name} needs no build: {' or '.join(profile.backends)} compiles a model when it opens it, "
            "so ship the ONNX file itself"
        )
    return f"{profile.name} is no NVIDIA GPU: engines are built for GPUs alone"

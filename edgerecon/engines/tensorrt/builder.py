"""ONNX file → TensorRT engine: TensorRT 10 and 11 (module ``tensorrt``) and TensorRT-RTX (``tensorrt_rtx``) alike.

Networks are strongly typed: the file's own types and Q/DQ nodes decide the arithmetic of every layer, and the builder
chooses none. TensorRT 10 has to be told so; 11 and RTX know nothing else. TensorRT builds on the GPU that will run the
engine, by timing kernels there; RTX needs no GPU, names the compute capability it builds for, and finishes its kernels
on the GPU when they are first used.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import re
from functools import lru_cache
from typing import Any

from edgerecon.core.errors import DependencyError, EngineError, ModelError, UsageError
from edgerecon.engines.tensorrt.engine_file import Shapes
from edgerecon.modelfile.file import ModelFile
from edgerecon.modelfile.ports import INPUT, STATE_IN, foreign_ports, port_names

TENSORRT, RTX = "tensorrt", "tensorrt_rtx"
_OLDEST = 10

_log = logging.getLogger(__name__)


def installed() -> tuple[str, ...]:
    """Those of the two modules that are there, in order of preference, found out without importing them."""
    return tuple(name for name in (TENSORRT, RTX) if importlib.util.find_spec(name) is not None)


def load_runtime(name: str) -> Any:
    """Import ``TENSORRT`` or ``RTX``.

    Raises:
        DependencyError: it is not installed. EngineError: it does not load, or is older than TensorRT 10.
    """
    try:
        trt = importlib.import_module(name)
    except ModuleNotFoundError:
        raise DependencyError(name, "nvidia") from None
    except (ImportError, OSError) as error:  # its libraries are missing or of another system
        raise EngineError(f"{name} does not load: {error}") from None
    if name == TENSORRT and int(trt.__version__.split(".")[0]) < _OLDEST:
        raise EngineError(f"tensorrt {trt.__version__} is too old: install {_OLDEST} or later (JetPack 6 has it)")
    return trt


def rtx_capabilities(trt: Any) -> dict[str, Any]:
    """What this TensorRT-RTX builds for: compute capability, e.g. "8.6", → its name there."""
    names = (name for name in trt.ComputeCapability.__members__ if re.fullmatch(r"SM\d+", name))
    return {f"{name[2:-1]}.{name[-1]}": getattr(trt.ComputeCapability, name) for name in names}


@lru_cache(maxsize=2)
def logger(trt: Any) -> Any:
    """What TensorRT reports to: this module's log, and ``errors`` for whoever turns them into an exception.

    One for each module, since TensorRT takes the first it is given and complains of others.
    """
    severity = trt.ILogger.Severity
    levels = {severity.INFO: logging.DEBUG, severity.VERBOSE: logging.DEBUG, severity.WARNING: logging.INFO}

    class Logger(trt.ILogger):
        def __init__(self) -> None:
            super().__init__()
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            level = levels.get(severity)
            if level is None:
                self.errors.append(message)
            _log.log(level or logging.DEBUG, "%s", message)

        def reason(self) -> str:
            """The first error since the last call, on one line and without its place in TensorRT's sources."""
            first, self.errors = (self.errors or ["no reason given"])[0], []
            return one_line(first)

    return Logger()


def one_line(report: str) -> str:
    """The line of TensorRT's report that says what is wrong."""
    text = " ".join((report.strip().splitlines() or ["no reason given"])[-1].split())
    text = re.sub(r"^(.*?Error Code \d+|Assertion failed): ", "", text)
    text = re.sub(r"[. ]*\bIn \w+ at [^\s()]+", "", text)
    return re.sub(r"\(\s*\)|(?<=\()\s+", "", text).strip()


def parse(trt: Any, file: ModelFile) -> tuple[Any, Any]:
    """The builder and the network that it made of a file.

    Raises:
        UsageError: an int8 file with unsigned activations. ModelError: TensorRT has no such operator (all of them are
        named), refuses the file, or finds other inputs and outputs than ours.
    """
    if file.spec.form in ("unsigned", "po2"):
        # TensorRT takes zero points for 0 in places, and says so in a warning only.
        raise UsageError(f"{file.path.name} has unsigned activations: TensorRT wants the file named -int8-trt")
    log = logger(trt)
    log.errors.clear()
    builder = trt.Builder(log)
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(file.content):
        raise ModelError(_refusal(trt, parser, file))
    tensors = [
        [network.get_input(i) for i in range(network.num_inputs)],
        [network.get_output(i) for i in range(network.num_outputs)],
    ]
    ports = [[(tensor.name, tensor.dtype, len(tensor.shape)) for tensor in side] for side in tensors]
    if ports != [[(name, trt.float32, 4) for name in names] for names in port_names(file.spec)]:
        raise foreign_ports(file)
    return builder, network


def build_engine(
    trt: Any, file: ModelFile, shapes: Shapes, compute_capability: str | None = None, timing: bytes = b""
) -> tuple[bytes, bytes]:
    """Build an engine.

    Args:
        shapes: as the graph sees them, multiples of the model's ``size_multiple``.
        compute_capability: for RTX, one of ``rtx_capabilities``; TensorRT builds for the GPU that is current.
        timing: what an earlier build of TensorRT learnt about this GPU; b"" without one.

    Returns:
        The engine, and what to give as ``timing`` the next time (b"" from RTX, which times nothing).

    Raises:
        UsageError, ModelError: see ``parse``. EngineError: the builder failed.
    """
    builder, network = parse(trt, file)
    log = logger(trt)
    config = builder.create_builder_config()
    # TF32 keeps ten bits of an fp32 layer's mantissa, and is on by default.
    config.clear_flag(trt.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    sizes = (shapes.min, shapes.opt, shapes.max)
    profile.set_shape(INPUT, *((1, file.spec.channels, *size) for size in sizes))
    if file.spec.state_channels:
        profile.set_shape(STATE_IN, *(file.spec.state_shape(*size) for size in sizes))
    config.add_optimization_profile(profile)
    if compute_capability is not None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(rtx_capabilities(trt)[compute_capability], 0)
    else:
        config.set_timing_cache(config.create_timing_cache(timing), ignore_mismatch=False)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise EngineError(f"{trt.__name__} cannot build {file.path.name}: {log.reason()}")
    learnt = b"" if compute_capability is not None else bytes(config.get_timing_cache().serialize())
    return bytes(engine), learnt


def _refusal(trt: Any, parser: Any, file: ModelFile) -> str:
    """All operators that are to blame, or what is wrong with the file."""
    errors = [parser.get_error(i) for i in range(parser.num_errors)]
    foreign = [error.node_operator() for error in errors if error.node_operator() and _unsupported(parser, error)]
    if foreign:
        names = ", ".join(dict.fromkeys(foreign))
        return f"{trt.__name__} has no operator {names}, as {file.path} uses it: use another backend"
    reasons = [": ".join(filter(None, (error.node_operator(), one_line(error.desc())))) for error in errors[:1]]
    return f"{file.path} is corrupt: {trt.__name__} refuses it ({', '.join(reasons) or 'no reason given'})"


def _unsupported(parser: Any, error: Any) -> bool:
    return "UNSUPPORTED" in error.code().name or not parser.supports_operator(error.node_operator())

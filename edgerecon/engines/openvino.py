"""OpenVINO: fp32, bf16 and int8 on the CPU; and on its other devices."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from edgerecon.core.errors import EngineError, ModelError, UsageError, first_line
from edgerecon.core.frame import Image
from edgerecon.engines.backend import Backend, missing
from edgerecon.engines.padded import PaddedEngine
from edgerecon.hardware.host import host_profile
from edgerecon.modelfile.file import ModelFile
from edgerecon.modelfile.ports import foreign_ports, port_names

_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}
_VNNI = {"avx_vnni", "avx512_vnni", "amx_int8"}
_X86 = "sse4_2"


def open_model(file: ModelFile, device: str | None, threads: int, precision: str) -> OpenVinoEngine:
    """See ``edgerecon.engines.open_engine``. ``precision`` "bf16" runs an fp32 file with bfloat16 layers.

    Raises:
        UsageError: a device that OpenVINO does not find here. ModelError: OpenVINO refuses the file; operators that it
        does not have are named. EngineError: the CPU lacks what the precision needs.
    """
    return OpenVinoEngine(file, threads, precision, device or "cpu")


def _imported() -> ModuleType:
    try:
        import openvino
    except (ImportError, OSError, RuntimeError) as error:  # a broken install, or no home for its telemetry to look into
        raise EngineError(f"openvino cannot be loaded ({first_line(error)}): take --backend onnxruntime") from None
    return openvino


@cache
def _core(kind: Callable[[], Any]) -> Any:
    """The core that all engines of the process share.

    Each core's CPU plug-in takes the stack of signals (sigaltstack) and gives back the one before it. Of two cores that
    end in the order of their making, the second would give back what the first has freed: the next Ctrl-C would be a
    segmentation fault.
    """
    return kind()


class OpenVinoEngine(PaddedEngine):
    """One inference request on the host buffers, compiled for the size of the frames.

    The runtime is never left to choose the arithmetic: float32 unless bf16 is asked for. Its default is bf16 wherever
    the CPU has it, and its ``f16`` is slow on CPUs, so that fp16 files run in float32 too. In int8 files, the
    quantised layers stay quantised whatever the hint.
    """

    def __init__(self, file: ModelFile, threads: int, precision: str, device: str = "cpu") -> None:
        openvino = _imported()
        super().__init__(file, "openvino", precision, threads)
        self._openvino = openvino
        self._core: Any = _core(openvino.Core)
        self._device = self._found(device)
        self._settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if self._device == "CPU":
            self._require_arithmetic()
            self._settings |= {
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
                "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" and self._native_bf16() else "f32",
                # A thread that may not move waits whenever capture or presentation takes its core.
                "ENABLE_CPU_PINNING": False,
            }
        elif self._device == "AUTO":  # it may choose the CPU, or begin on it
            self._settings["DEVICE_PROPERTIES"] = {"CPU": {"INFERENCE_PRECISION_HINT": "f32"}}
        try:
            model = self._core.read_model(file.content)
            ports = [
                [(port.any_name, port.element_type.to_dtype(), len(port.partial_shape)) for port in side]
                for side in (model.inputs, model.outputs)
            ]
        except (RuntimeError, UnicodeDecodeError) as error:  # damaged names are no text
            raise ModelError(_refusal(file, str(error))) from None
        if ports != [[(name, np.float32, 4) for name in names] for names in port_names(file.spec)]:
            raise foreign_ports(file)
        self._model: Any = model
        self._requests: list[Any] = []

    def _found(self, device: str) -> str:
        """The device as OpenVINO spells it: one that is here, or AUTO for its own choice among them."""
        have = [*self._core.available_devices, "AUTO"]
        if device.upper() not in have:
            raise UsageError(f"backend openvino has no device '{device}' here: choose {' or '.join(have).lower()}")
        return device.upper()

    def _require_arithmetic(self) -> None:
        """Refuse what OpenVINO would compute wrongly, or otherwise than asked, without a word.

        Without bf16 it falls back to float32, or emulates it on AVX-512. Without VNNI it adds products of signed int8
        in pairs of 16 bits, which overflow when weights use all eight bits (by 0.6 of full scale in a trial on AVX2).
        """
        have = set(_cpu_features())
        stored = self.spec.model.precision == "bf16"  # then float32 arithmetic is no less exact
        if self.spec.precision == "bf16" and not stored and not self._native_bf16():
            raise EngineError("this CPU has no bf16 arithmetic (avx512_bf16 or amx_bf16): use fp32 or int8")
        if self.spec.model.form in ("signed", "po2") and _X86 in have and not have & _VNNI:
            raise EngineError(
                f"openvino overflows on int8 of the form {self.spec.model.form} where the CPU has no VNNI: use the "
                "unsigned file, or backend onnxruntime"
            )

    def _native_bf16(self) -> bool:
        found = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return bool(set(_cpu_features()) & _BF16) and "BF16" in found

    def _bind(self, padded: tuple[int, int]) -> tuple[Image, Image]:
        # A fixed shape is about 1.2 times as fast as a dynamic one (512×512, AVX2), and compiles in 50 ms.
        fixed = self._model.clone()
        arrays = self._host_arrays(padded)
        turns = self._turns(*arrays)
        try:
            fixed.reshape({name: array.shape for name, array in turns[0][0].items()})
            compiled = self._core.compile_model(fixed, self._device, self._settings)
            self._requests = [compiled.create_infer_request() for _ in turns]
        except RuntimeError as error:
            raise EngineError(_reason(str(error))) from None
        for request, (inputs, outputs) in zip(self._requests, turns, strict=True):
            for name, array in (inputs | outputs).items():
                request.set_tensor(name, self._openvino.Tensor(array, shared_memory=True))
        return arrays

    def _execute(self) -> None:
        self._requests[self._turn].infer(share_outputs=True)  # else it copies them for the value it returns

    def _release(self) -> None:
        self._requests = []
        self._model = self._core = None


def _cpu_features() -> list[str]:
    features = host_profile()["cpu_features"]
    return features if isinstance(features, list) else []


def _refusal(file: ModelFile, report: str) -> str:
    if unknown := re.search(r"No conversion rule found for operations: (.+)", report):
        return f"openvino has no operator {unknown[1].strip()}, which {file.path} needs: use another backend"
    return f"{file.path} is corrupt: openvino refuses it ({_reason(report)})"


def _reason(report: str) -> str:
    """The line of OpenVINO's report that says what is wrong, not where in its sources."""
    lines = [line.strip() for line in report.splitlines() if line.strip()]
    telling = [line for line in lines if not re.match(r"Exception from|Check '|While validating|FrontEnd API", line)]
    return (telling or lines or ["no reason given"])[0]


BACKEND = Backend(
    name="openvino",
    title="OpenVINO",
    kind="cpu",
    runs=("fp32", "fp16", "bf16", "int8"),
    computes={"fp32": ("bf16",)},
    rank=10,
    open=open_model,
    probe=lambda: missing("openvino"),
    remedy="run  pip install 'edgerecon[openvino]'",
    extra="openvino",
    packages=("openvino",),
)

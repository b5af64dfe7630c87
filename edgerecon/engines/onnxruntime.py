"""ONNX Runtime: on the CPU, or by another execution provider that the installed package brings."""

from __future__ import annotations

import copy
from typing import Any

from edgerecon.core.errors import EngineError, ModelError, UsageError, first_line, needed
from edgerecon.core.frame import Image
from edgerecon.engines.backend import Backend, missing
from edgerecon.engines.padded import PaddedEngine
from edgerecon.modelfile.file import ModelFile
from edgerecon.modelfile.ports import foreign_ports, port_names

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "qnn": "QNNExecutionProvider",
}
"""Device, as ``--device`` takes it → ONNX Runtime's name of what runs there."""

CHANGES_WEIGHTS = ["WeightBiasQuantization"]
"""Optimisers that round what a file holds in float: they quantise the convolutions that were left out on purpose."""


def open_model(file: ModelFile, device: str | None, threads: int, precision: str) -> OnnxRuntimeEngine:
    """See ``edgerecon.engines.open_engine``. ``device``: a key of ``PROVIDERS``; default "cpu".

    Raises:
        UsageError: a device that this package of ONNX Runtime does not bring. ModelError: it refuses the file.
    """
    return OnnxRuntimeEngine(file, threads, precision, _provider(device or "cpu"))


def _provider(device: str) -> str:
    with needed("stream", "onnxruntime"):
        import onnxruntime as ort
    have = [name for name, provider in PROVIDERS.items() if provider in ort.get_available_providers()]
    if device not in have:
        advice = "install the onnxruntime package that brings it, or choose" if device in PROVIDERS else "choose"
        raise UsageError(f"backend onnxruntime has no device '{device}' here: {advice} {' or '.join(have)}")
    return PROVIDERS[device]


class OnnxRuntimeEngine(PaddedEngine):
    """One session with its input and output bound to the host buffers."""

    def __init__(self, file: ModelFile, threads: int, precision: str, provider: str = PROVIDERS["cpu"]) -> None:
        with needed("stream", "onnxruntime"):
            import onnxruntime as ort
        super().__init__(file, "onnxruntime", precision, threads)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 4  # faults come as exceptions
        # Threads that spin while they wait for the next frame take the cores from capture and presentation.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if file.spec.form in ("signed", "po2"):
            # Full-range weights overflow the 16-bit sums of CPUs without VNNI; the Q/DQ as written are exact.
            options.add_session_config_entry("session.disable_quant_qdq", "1")
        try:
            # Its fallback would try the same provider once more, and print.
            session = ort.InferenceSession(
                file.content, options, [provider], enable_fallback=0, disabled_optimizers=CHANGES_WEIGHTS
            )
        except Exception as error:  # noqa: BLE001 - the runtime's exceptions share no base
            raise ModelError(f"{file.path} is corrupt: onnxruntime refuses it ({first_line(error)})") from None
        if provider not in session.get_providers():  # it was dropped without a word, for want of its own libraries
            raise EngineError(f"{provider} cannot be loaded here: install its libraries, or leave the device out")
        signature = [
            [(value.name, value.type, len(value.shape)) for value in values]
            for values in (session.get_inputs(), session.get_outputs())
        ]
        if signature != [[(name, "tensor(float)", 4) for name in names] for names in port_names(file.spec)]:
            raise foreign_ports(file)
        self._ort = ort
        self._session: Any = session
        self._bindings: list[Any] = []

    def duplicate(self) -> OnnxRuntimeEngine:
        """Another engine on the same session, with buffers and state of its own; both may run at the same time."""
        twin = copy.copy(self)
        twin._fitted, twin._bindings, twin._states, twin._turn = ((), 0), [], (), 0
        return twin

    def _bind(self, padded: tuple[int, int]) -> tuple[Image, Image]:
        arrays = self._host_arrays(padded)
        self._bindings = [self._bound(*turn) for turn in self._turns(*arrays)]
        return arrays

    def _bound(self, inputs: dict[str, Image], outputs: dict[str, Image]) -> Any:
        binding, value = self._session.io_binding(), self._ort.OrtValue.ortvalue_from_numpy
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, value(array))
        for name, array in outputs.items():
            binding.bind_ortvalue_output(name, value(array))
        return binding

    def _execute(self) -> None:
        self._session.run_with_iobinding(self._bindings[self._turn])

    def _release(self) -> None:
        self._session, self._bindings = None, []


BACKEND = Backend(
    name="onnxruntime",
    title="ONNX Runtime",
    kind="cpu",
    runs=("fp32", "fp16", "bf16", "int8", "po2"),
    rank=20,  # always there; OpenVINO is the faster one on x86, in fp32 and, by far, in int8
    open=open_model,
    probe=lambda: missing("onnxruntime"),
    remedy="run  pip install onnxruntime",
    packages=("onnxruntime",),
)

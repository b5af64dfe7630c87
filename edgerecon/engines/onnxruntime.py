"""ONNX Runtime on the CPU."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from edgerecon.engines.base import EngineSpec
from edgerecon.engines.model_file import ModelFile
from edgerecon.errors import EngineError, ModelError, UsageError
from edgerecon.frame import Image

INPUT, OUTPUT = "frame", "reconstruction"


def available() -> bool:
    """Whether the runtime is installed, found out without importing it."""
    return importlib.util.find_spec("onnxruntime") is not None


def open_model(file: ModelFile, device: str | None, threads: int) -> OnnxRuntimeEngine:
    """See ``edgerecon.engines.open_engine``."""
    if device not in (None, "cpu"):
        raise UsageError(f"backend onnxruntime runs on device 'cpu', not '{device}'")
    return OnnxRuntimeEngine(file, threads)


class OnnxRuntimeEngine:
    """One session with its input and output buffers, which live as long as the frame size stays."""

    def __init__(self, file: ModelFile, threads: int) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 4  # faults come as exceptions
        # Threads that spin while they wait for the next frame take the cores from capture and presentation.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = ort.InferenceSession(file.content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 - the runtime's exceptions share no base
            raise ModelError(f"{file.path} is corrupt: onnxruntime refuses it ({_first_line(error)})") from None
        signature = [(value.name, value.type, len(value.shape)) for value in
                     (*session.get_inputs(), *session.get_outputs())]  # fmt: skip
        if signature != [(INPUT, "tensor(float)", 4), (OUTPUT, "tensor(float)", 4)]:
            raise ModelError(f"{file.path} has inputs and outputs other than '{INPUT}' and '{OUTPUT}': export it again")
        self.spec = EngineSpec(file.spec, "onnxruntime", file.spec.precision, threads)
        self._ort = ort
        self._session: Any = session
        self._shape: tuple[int, ...] = ()

    def run(self, frame: Image, out: Image | None = None) -> Image:
        """See ``Engine.run``. ``out`` may be ``frame`` itself when the scale is 1."""
        if self._session is None:
            raise EngineError("the engine is closed: open it again")
        if not isinstance(frame, np.ndarray) or frame.dtype != np.float32 or frame.ndim != 2 or frame.size == 0:
            raise EngineError(f"a frame must be a non-empty float32 H×W array, not {_described(frame)}")
        height, width = frame.shape
        scale = self.spec.model.scale
        shape = (height * scale, width * scale)
        if out is not None and not (isinstance(out, np.ndarray) and out.dtype == np.float32 and out.shape == shape):
            raise EngineError(f"out must be float32 {shape[0]}×{shape[1]}, not {_described(out)}")
        try:
            if frame.shape != self._shape:
                self._prepare(height, width)
            self._input[:height, :width] = frame
            self._input[height:, :width] = frame[-1]
            self._input[:, width:] = self._input[:, width - 1 : width]
            self._session.run_with_iobinding(self._binding)
        except Exception as error:  # noqa: BLE001 - the runtime's exceptions share no base
            self._shape = ()
            raise EngineError(f"onnxruntime failed on a {height}×{width} frame: {_first_line(error)}") from None
        return np.clip(self._output[: shape[0], : shape[1]], 0.0, 1.0, out=out)

    def _prepare(self, height: int, width: int) -> None:
        """Buffers of the padded size, bound to the session."""
        multiple, scale = self.spec.model.size_multiple, self.spec.model.scale
        padded = (height + -height % multiple, width + -width % multiple)
        source = np.zeros((1, 1, *padded), np.float32)
        result = np.zeros((1, 1, padded[0] * scale, padded[1] * scale), np.float32)
        self._binding = self._session.io_binding()
        self._binding.bind_ortvalue_input(INPUT, self._ort.OrtValue.ortvalue_from_numpy(source))
        self._binding.bind_ortvalue_output(OUTPUT, self._ort.OrtValue.ortvalue_from_numpy(result))
        self._input, self._output = source[0, 0], result[0, 0]
        self._shape = (height, width)

    def reset(self) -> None:
        """Nothing to forget: single-frame models only."""

    def close(self) -> None:
        self._session = self._binding = self._input = self._output = None
        self._shape = ()


def _described(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return type(value).__name__


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

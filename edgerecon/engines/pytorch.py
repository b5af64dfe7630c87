"""PyTorch: the reference. It runs the ONNX graph itself, one operator after the other, exactly as the file says.

Nothing is fused, reordered or left to a compiler, and float32 stays float32 (no TF32), so that its result is what the
file means. It is not made to be fast, and torch allocates what lies between the operators anew for every frame.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgerecon.engines.model_file import ModelFile
from edgerecon.engines.padded import INPUT, OUTPUT, PaddedEngine, first_line
from edgerecon.errors import EngineError, ModelError, UsageError
from edgerecon.frame import Image

OLDEST_OPSET = 13
"""Before it, axes and limits were attributes."""


def available() -> bool:
    """Whether torch and onnx are installed, found out without importing them."""
    return all(importlib.util.find_spec(name) is not None for name in ("torch", "onnx"))


def open_model(file: ModelFile, device: str | None, threads: int, precision: str) -> PyTorchEngine:
    """See ``edgerecon.engines.open_engine``.

    Args:
        device: "cpu" (default), "cuda" or "cuda:N".

    Raises:
        UsageError: another device. ModelError: the file is corrupt, or holds operators that the reference does not
        have; they are named. EngineError: no such GPU here.
    """
    device = device or "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise UsageError(f"backend pytorch runs on device 'cpu', 'cuda' or 'cuda:N', not '{device}'")
    return PyTorchEngine(file, device, threads, precision)


@dataclass(frozen=True)
class _Step:
    """One node. dead: values that no later node reads."""

    operator: Any
    attributes: dict[str, Any]
    inputs: tuple[str, ...]
    output: str
    dead: tuple[str, ...]


class PyTorchEngine(PaddedEngine):
    """The nodes of the graph in their order, and its constants on the device."""

    def __init__(self, file: ModelFile, device: str, threads: int, precision: str) -> None:
        import torch

        super().__init__(file, "pytorch", precision, threads)
        self._source = self._result = torch.empty(0)
        if device != "cpu" and int(device.partition(":")[2] or 0) >= torch.cuda.device_count():
            raise EngineError(f"torch finds no device '{device}' here: use cpu")
        self._torch = torch
        self._device = device
        try:
            graph = _checked_graph(file)
            self._steps: list[_Step] = list(_steps(graph))
            self._constants = {name: torch.from_numpy(value).to(device) for name, value in _constants(graph)}
        except (ValueError, TypeError, KeyError) as error:  # damage that the checker overlooks
            raise ModelError(f"{file.path} is corrupt: pytorch refuses it ({first_line(error)})") from None

    def _bind(self, padded: tuple[int, int]) -> tuple[Image, Image]:
        scale = self.spec.model.scale
        source = np.zeros((1, 1, *padded), np.float32)
        result = np.zeros((1, 1, padded[0] * scale, padded[1] * scale), np.float32)
        self._source, self._result = self._torch.from_numpy(source), self._torch.from_numpy(result)
        return source, result

    def _execute(self) -> None:
        with self._torch.inference_mode(), self._settings():
            values: dict[str, Any] = {"": None, INPUT: self._source.to(self._device), **self._constants}
            for step in self._steps:
                values[step.output] = step.operator(step.attributes, *(values[name] for name in step.inputs))
                for name in step.dead:
                    del values[name]
            found = values[OUTPUT]
            if found.shape != self._result.shape:
                raise ValueError(f"the graph gives {[*found.shape]}, its metadata says {[*self._result.shape]}")
            self._result.copy_(found)

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """This engine's threads and plain float32; both are torch's for the whole process, so they are given back."""
        torch = self._torch
        before = torch.get_num_threads()
        torch.set_num_threads(self.spec.threads)
        try:
            with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
                yield
        finally:
            torch.set_num_threads(before)

    def _release(self) -> None:
        self._steps, self._constants = [], {}
        del self._source, self._result


def _checked_graph(file: ModelFile) -> Any:
    """The graph, valid ONNX with operators that are here."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(file.content)
    except DecodeError:
        raise ModelError(f"{file.path} is corrupt: pytorch cannot read it") from None
    if unknown := sorted(set(map(str, _unknown(model.graph.node)))):
        raise ModelError(f"pytorch has no operator {', '.join(unknown)}, which {file.path} needs: use another backend")
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if opset < OLDEST_OPSET:
        raise ModelError(f"{file.path} is of opset {opset}, pytorch runs {OLDEST_OPSET} and later: export it again")
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"{file.path} is corrupt: pytorch refuses it ({first_line(error)})") from None
    graph = model.graph
    ports = [(port.name, port.type.tensor_type.elem_type, len(port.type.tensor_type.shape.dim)) for port in
             (*graph.input, *graph.output)]  # fmt: skip
    if ports != [(INPUT, onnx.TensorProto.FLOAT, 4), (OUTPUT, onnx.TensorProto.FLOAT, 4)]:
        raise ModelError(f"{file.path} has inputs and outputs other than '{INPUT}' and '{OUTPUT}': export it again")
    return graph


def _unknown(nodes: Iterable[Any]) -> Iterator[str]:
    """Names of what is not implemented: operators, or the ways in which nodes use them."""
    from edgerecon.engines.torch_operators import ALLOWED, OPERATORS

    for node in nodes:
        if node.domain not in ("", "ai.onnx"):
            yield f"{node.domain}.{node.op_type}"
        elif node.op_type not in (*OPERATORS, "Constant"):
            yield node.op_type
        elif sum(map(bool, node.output)) != 1:
            yield f"{node.op_type} with {len(node.output)} outputs"
        else:
            for key, value in _attributes(node).items():
                if value not in ALLOWED.get((node.op_type, key), (value,)):
                    yield f"{node.op_type} with {key} {value}"


def _attributes(node: Any) -> dict[str, Any]:
    import onnx

    values = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    return {key: value.decode() if isinstance(value, bytes) else value for key, value in values.items()}


def _constants(graph: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Initialisers and the values of Constant nodes, by name."""
    import onnx

    for tensor in graph.initializer:
        yield tensor.name, _writable(onnx.numpy_helper.to_array(tensor))
    for node in graph.node:
        if node.op_type == "Constant":
            ((key, value),) = _attributes(node).items()
            kind = {"value_float": np.float32, "value_floats": np.float32}.get(key, np.int64)
            array = onnx.numpy_helper.to_array(value) if key == "value" else np.asarray(value, kind)
            yield node.output[0], _writable(array)


def _writable(array: np.ndarray) -> np.ndarray:
    return np.array(array, order="C")  # torch takes no read-only memory


def _steps(graph: Any) -> Iterator[_Step]:
    from edgerecon.engines.torch_operators import OPERATORS

    nodes = [node for node in graph.node if node.op_type != "Constant"]
    last_use = {name: index for index, node in enumerate(nodes) for name in node.input if name}
    last_use[OUTPUT] = len(nodes)
    for index, node in enumerate(nodes):
        dead = tuple(name for name in dict.fromkeys(node.input) if last_use.get(name) == index)
        operator = OPERATORS[node.op_type]
        yield _Step(operator, _attributes(node), tuple(node.input), node.output[0], dead)

"""The nodes of an ONNX graph in their order, run by torch: a differentiable function of the frame.

Every operator stands in ``torch_operators``. Nothing is fused, reordered or left to a compiler.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgerecon.core.errors import ModelError, first_line
from edgerecon.modelfile.file import ModelFile
from edgerecon.modelfile.ports import INPUT, OUTPUT, STATE_IN, foreign_ports, port_names

OLDEST_OPSET = 13
"""Before it, axes and limits were attributes."""


@dataclass(frozen=True)
class _Step:
    """One node. dead: values that no later node reads."""

    operator: Any
    attributes: dict[str, Any]
    inputs: tuple[str, ...]
    output: str
    dead: tuple[str, ...]


class TorchGraph:
    """What a model file computes, constants on a device. Gradients pass wherever autograd records.

    Args:
        device: as torch spells it. instead: operators by name, in place of those of ``torch_operators``.

    Attributes:
        nodes: the ``onnx.NodeProto`` of the file, in order.

    Raises:
        ModelError: the file is corrupt, or holds operators that are not here; they are named.
    """

    def __init__(self, file: ModelFile, device: str = "cpu", instead: Mapping[str, Any] | None = None) -> None:
        self.device, self._model = device, file.spec
        try:
            graph = _checked_graph(file)
            self.nodes = list(graph.node)
            self._steps: list[_Step] = list(_steps(graph, instead or {}))
            self._constants = {name: torch.from_numpy(value).to(device) for name, value in _constants(graph)}
        except (ValueError, TypeError, KeyError) as error:  # damage that the checker overlooks
            raise ModelError(f"{file.path} is corrupt: pytorch refuses it ({first_line(error)})") from None

    def __call__(self, frame: Tensor, keep: Collection[str] = ()) -> dict[str, Tensor]:
        """Run it.

        Args:
            frame: N×1×H×W in [0, 1], H and W multiples of the file's ``size_multiple``. keep: names of values between.

        Returns:
            The values ``keep`` and "reconstruction", which is not clipped. A temporal model sees the frame as the
            first of its sequence.
        """
        inputs = {INPUT: frame}
        if channels := self._model.state_channels:
            n, _, height, width = frame.shape
            divisor = self._model.state_divisor
            inputs[STATE_IN] = frame.new_zeros(n, channels, height // divisor, width // divisor)
        return self.run(inputs, {*keep, OUTPUT})

    def run(self, inputs: Mapping[str, Tensor], wanted: Collection[str]) -> dict[str, Tensor]:
        """The values ``wanted`` from all inputs of the graph, by name."""
        values: dict[str, Any] = {"": None, **inputs, **self._constants}
        for step in self._steps:
            values[step.output] = step.operator(step.attributes, *(values[name] for name in step.inputs))
            for name in step.dead:
                if name not in wanted:
                    del values[name]
        return {name: values[name] for name in wanted}


def _checked_graph(file: ModelFile) -> Any:
    """The graph, valid ONNX with operators that are here."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(file.content)
    except DecodeError:
        raise ModelError(f"{file.path} is corrupt: pytorch cannot read it") from None
    if unknown := sorted(set(map(str, _unknown(model.graph.node)))):
        raise ModelError(
            f"pytorch has no operator {', '.join(unknown)}, which {file.path} needs: use another backend; "
            "explain wants a file exported without it"
        )
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if opset < OLDEST_OPSET:
        raise ModelError(f"{file.path} is of opset {opset}, pytorch runs {OLDEST_OPSET} and later: export it again")
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"{file.path} is corrupt: pytorch refuses it ({first_line(error)})") from None
    graph = model.graph
    ports = [
        [(port.name, port.type.tensor_type.elem_type, len(port.type.tensor_type.shape.dim)) for port in side]
        for side in (graph.input, graph.output)
    ]
    if ports != [[(name, onnx.TensorProto.FLOAT, 4) for name in names] for names in port_names(file.spec)]:
        raise foreign_ports(file)
    return graph


def _unknown(nodes: Iterable[Any]) -> Iterator[str]:
    """Names of what is not implemented: operators, or the ways in which nodes use them."""
    from edgerecon.engines.pytorch.operators import ALLOWED, OPERATORS

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
    return {key: _text(value) for key, value in values.items()}


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return [_text(each) for each in value]
    return value.decode() if isinstance(value, bytes) else value


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


def _steps(graph: Any, instead: Mapping[str, Any]) -> Iterator[_Step]:
    from edgerecon.engines.pytorch.operators import OPERATORS

    nodes = [node for node in graph.node if node.op_type != "Constant"]
    last_use = {name: index for index, node in enumerate(nodes) for name in node.input if name}
    last_use |= {output.name: len(nodes) for output in graph.output}
    for index, node in enumerate(nodes):
        dead = tuple(name for name in dict.fromkeys(node.input) if last_use.get(name) == index)
        operator = instead.get(node.op_type, OPERATORS[node.op_type])
        yield _Step(operator, _attributes(node), tuple(node.input), node.output[0], dead)

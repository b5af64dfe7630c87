"""LiteRT (TensorFlow Lite) on the CPU, through its XNNPACK delegate.

The graph of the ONNX file is written anew as a TensorFlow Lite flatbuffer for the size of the frames, in NHWC, with
convolution and ReLU as one operator. The schema is https://github.com/tensorflow/tensorflow, lite/schema/schema.fbs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import ModelError, UsageError
from edgerecon.core.frame import Image
from edgerecon.engines.backend import Backend, missing
from edgerecon.engines.padded import PaddedEngine
from edgerecon.engines.stderr_line import without_line
from edgerecon.modelfile.file import ModelFile
from edgerecon.modelfile.graph import Node, read_graph
from edgerecon.modelfile.ports import INPUT, OUTPUT

_VERSION = 3  # of the schema
_SAID = threading.Event()
_SHAPING = ("Identity", "Cast")
"""Operators that change the type of a tensor at most: everything is float32 here."""


def open_model(file: ModelFile, device: str | None, threads: int, precision: str) -> LiteRtEngine:
    """See ``edgerecon.engines.open_engine``.

    Raises:
        UsageError: a device other than "cpu". ModelError: an operator that is not translated; it is named.
    """
    if device not in (None, "cpu"):
        raise UsageError(f"backend litert runs on device 'cpu', not '{device}'")
    if file.spec.state_channels or file.spec.fixed_output:
        raise ModelError(f"{file.path.name} carries state or gives no image: use backend onnxruntime")
    return LiteRtEngine(file, threads, precision)


@contextmanager
def _first_interpreter() -> Iterator[None]:
    """Keep LiteRT from saying on stderr that it has a delegate, which it does once in a process."""
    if _SAID.is_set():
        yield
        return
    _SAID.set()
    with without_line(b"Created TensorFlow Lite XNNPACK delegate"):
        yield


class LiteRtEngine(PaddedEngine):
    """One interpreter, made for the size of the frames."""

    def __init__(self, file: ModelFile, threads: int, precision: str) -> None:
        super().__init__(file, "litert", precision, threads)
        self._nodes, self._constants = read_graph(file)
        self._interpreter: Any = None
        try:  # refuse here, not at a frame
            _Translation(self._nodes, self._constants, (file.spec.size_multiple,) * 2)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise ModelError(f"{file.path} is corrupt: its graph refers to what is not there ({error})") from None

    def _bind(self, padded: tuple[int, int]) -> tuple[Image, Image]:
        from ai_edge_litert.interpreter import Interpreter

        content = _Translation(self._nodes, self._constants, padded).flatbuffer()
        with _first_interpreter():
            interpreter = Interpreter(model_content=content, num_threads=self.spec.threads)
            interpreter.allocate_tensors()
        self._first = interpreter.get_input_details()[0]["index"]
        self._last = interpreter.get_output_details()[0]["index"]
        self._interpreter = interpreter
        self._source, self._result = self._host_arrays(padded)
        return self._source, self._result

    def _execute(self) -> None:
        height, width = self._source.shape[2:]
        self._interpreter.set_tensor(self._first, self._source.reshape(1, height, width, 1))
        self._interpreter.invoke()
        np.copyto(self._result[0, 0], self._interpreter.get_tensor(self._last)[0, :, :, 0])

    def _release(self) -> None:
        self._interpreter = None


class _Translation:
    """A TensorFlow Lite model, built operator by operator."""

    def __init__(self, nodes: Sequence[Node], constants: dict[str, NDArray[Any]], size: tuple[int, int]) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema = schema
        self._constants = dict(constants)
        self._readers = {name: [n for n in nodes if name in n.inputs] for node in nodes for name in node.outputs}
        self._model, self._graph = schema.ModelT(), schema.SubGraphT()
        self._model.version, self._model.operatorCodes = _VERSION, []
        self._model.buffers = [schema.BufferT()]  # the first is empty, by convention
        self._graph.tensors, self._graph.operators = [], []
        self._index: dict[str, int] = {}
        self._tensor(INPUT, (1, *size, 1))
        for node in nodes:
            self._add(node)
        if OUTPUT not in self._index:
            raise ModelError(f"the graph has no output '{OUTPUT}': export it again")

    def flatbuffer(self) -> bytes:
        """The model as bytes."""
        import flatbuffers

        self._graph.inputs, self._graph.outputs = [self._index[INPUT]], [self._index[OUTPUT]]
        self._model.subgraphs = [self._graph]
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(self._model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _add(self, node: Node) -> None:
        makers = {
            "Conv": self._convolution,
            "ConvTranspose": self._enlargement,
            "Relu": self._relu,
            "Add": self._sum,
            "Concat": self._concatenation,
            "SpaceToDepth": self._space_to_depth,
            "DepthToSpace": self._depth_to_space,
        }
        if node.kind in _SHAPING:
            self._alias(node)
        elif node.kind in makers:
            makers[node.kind](node)
        else:
            raise ModelError(f"backend litert has no operator {node.kind}: use backend onnxruntime")

    def _alias(self, node: Node) -> None:
        if node.inputs[0] in self._constants:
            self._constants[node.outputs[0]] = self._constants[node.inputs[0]].astype(np.float32)
        else:
            self._index[node.outputs[0]] = self._index[node.inputs[0]]

    def _convolution(self, node: Node) -> None:
        schema = self._schema
        weights = self._constants[node.inputs[1]].astype(np.float32)
        bias = (
            self._constants[node.inputs[2]].astype(np.float32)
            if len(node.inputs) > 2
            else np.zeros(len(weights), np.float32)
        )
        if node.attributes.get("group", 1) != 1:
            raise ModelError("backend litert translates no grouped convolutions: use backend onnxruntime")
        weights, bias = self._in_order_of_blocks(node, weights, bias)
        source, pads = self._index[node.inputs[0]], node.attributes.get("pads", [0, 0, 0, 0])
        strides, dilations = node.attributes.get("strides", [1, 1]), node.attributes.get("dilations", [1, 1])
        reach = [d * (k - 1) for d, k in zip(dilations, weights.shape[2:], strict=True)]
        _, height, width, _ = self._shape(source)
        options = schema.Conv2DOptionsT()
        same = list(strides) == [1, 1] and [2 * pad for pad in pads] == [*reach, *reach] and pads[:2] == pads[2:]
        options.padding = schema.Padding.SAME if same else schema.Padding.VALID
        if not same and any(pads):
            source = self._padded(source, pads)
        options.strideH, options.strideW = strides
        options.dilationHFactor, options.dilationWFactor = dilations
        out = [
            (size + pads[axis] + pads[axis + 2] - reach[axis] - 1) // strides[axis] + 1
            for axis, size in enumerate((height, width))
        ]
        inputs = [source, self._constant(weights.transpose(0, 2, 3, 1)), self._constant(bias)]
        output = self._tensor(node.outputs[0], (1, *out, len(weights)))
        self._operator("CONV_2D", inputs, output, options, "Conv2DOptions")

    def _enlargement(self, node: Node) -> None:
        """A transposed convolution whose blocks do not overlap: a product at each pixel, then depth to space."""
        facts, weights = node.attributes, self._constants[node.inputs[1]].astype(np.float32)
        block = facts["strides"][0]
        plain = list(facts["strides"]) == [block, block] == list(weights.shape[2:])
        if (
            not plain
            or any(facts.get("pads", []))
            or any(facts.get("output_padding", []))
            or facts.get("group", 1) != 1
        ):
            raise ModelError("backend litert enlarges by whole blocks only: use backend onnxruntime")
        inside, outside = weights.shape[:2]
        # (in, out, row, column) → one filter for each (row, column, out), as TensorFlow's depth-to-space reads them.
        filters = weights.transpose(2, 3, 1, 0).reshape(block**2 * outside, 1, 1, inside)
        bias = self._constants[node.inputs[2]] if len(node.inputs) > 2 else np.zeros(outside, np.float32)
        source = self._index[node.inputs[0]]
        _, height, width, _ = self._shape(source)
        options = self._schema.Conv2DOptionsT()
        options.padding = self._schema.Padding.VALID
        options.strideH = options.strideW = options.dilationHFactor = options.dilationWFactor = 1
        wide = self._tensor(f"wide {len(self._graph.tensors)}", (1, height, width, len(filters)))
        inputs = [source, self._constant(filters), self._constant(np.tile(bias.astype(np.float32), block**2))]
        self._operator("CONV_2D", inputs, wide, options, "Conv2DOptions")
        shuffle = self._schema.DepthToSpaceOptionsT()
        shuffle.blockSize = block
        output = self._tensor(node.outputs[0], (1, height * block, width * block, outside))
        self._operator("DEPTH_TO_SPACE", [wide], output, shuffle, "DepthToSpaceOptions")

    def _in_order_of_blocks(
        self, node: Node, weights: NDArray[Any], bias: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Filters in the order in which TensorFlow's depth-to-space reads them, where ONNX's mode CRD follows."""
        after = self._readers.get(node.outputs[0], [])
        if len(after) == 1 and after[0].kind == "Relu":
            after = self._readers.get(after[0].outputs[0], [])
        shuffles = [one for one in after if one.kind == "DepthToSpace" and _mode(one) == "CRD"]
        if not shuffles:
            return weights, bias
        block = shuffles[0].attributes["blocksize"] ** 2
        if len(weights) == block:
            return weights, bias
        if len(after) != 1:
            raise ModelError("backend litert cannot shuffle channels that are read elsewhere: use backend onnxruntime")
        order = np.arange(len(weights)).reshape(-1, block).T.ravel()
        return weights[order], bias[order]

    def _padded(self, source: int, pads: Sequence[int]) -> int:
        """Zeros around a tensor, where TensorFlow's own padding would be another one."""
        amounts = np.array([[0, 0], [pads[0], pads[2]], [pads[1], pads[3]], [0, 0]], np.int32)
        shape = tuple(
            int(size + before + after) for size, (before, after) in zip(self._shape(source), amounts, strict=True)
        )
        output = self._tensor(f"padded {len(self._graph.tensors)}", shape)
        self._operator("PAD", [source, self._constant(amounts)], output, self._schema.PadOptionsT(), "PadOptions")
        return output

    def _relu(self, node: Node) -> None:
        """Fused into the operator before, where nothing else reads what that gives."""
        schema, source = self._schema, self._index[node.inputs[0]]
        last = self._graph.operators[-1] if self._graph.operators else None
        if last is not None and list(last.outputs) == [source] and len(self._readers[node.inputs[0]]) == 1:
            if hasattr(last.builtinOptions, "fusedActivationFunction"):
                last.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.RELU
                self._index[node.outputs[0]] = source
                return
        self._operator("RELU", [source], self._tensor(node.outputs[0], self._shape(source)), None, "NONE")

    def _sum(self, node: Node) -> None:
        inputs = [
            self._index[name] if name in self._index else self._constant(self._nhwc(name)) for name in node.inputs
        ]
        shape = np.broadcast_shapes(*(self._shape(one) for one in inputs))
        self._operator("ADD", inputs, self._tensor(node.outputs[0], shape), self._schema.AddOptionsT(), "AddOptions")

    def _concatenation(self, node: Node) -> None:
        if node.attributes.get("axis", 1) not in (1, -3):
            raise ModelError("backend litert joins channels only: use backend onnxruntime")
        inputs = [self._index[name] for name in node.inputs]
        options = self._schema.ConcatenationOptionsT()
        options.axis = 3
        shape = (*self._shape(inputs[0])[:3], sum(self._shape(one)[3] for one in inputs))
        self._operator("CONCATENATION", inputs, self._tensor(node.outputs[0], shape), options, "ConcatenationOptions")

    def _space_to_depth(self, node: Node) -> None:
        source, block = self._index[node.inputs[0]], node.attributes["blocksize"]
        _, height, width, channels = self._shape(source)
        options = self._schema.SpaceToDepthOptionsT()
        options.blockSize = block
        output = self._tensor(node.outputs[0], (1, height // block, width // block, channels * block**2))
        self._operator("SPACE_TO_DEPTH", [source], output, options, "SpaceToDepthOptions")

    def _depth_to_space(self, node: Node) -> None:
        source, block = self._index[node.inputs[0]], node.attributes["blocksize"]
        _, height, width, channels = self._shape(source)
        options = self._schema.DepthToSpaceOptionsT()
        options.blockSize = block
        output = self._tensor(node.outputs[0], (1, height * block, width * block, channels // block**2))
        self._operator("DEPTH_TO_SPACE", [source], output, options, "DepthToSpaceOptions")

    def _nhwc(self, name: str) -> NDArray[np.float32]:
        values = self._constants[name].astype(np.float32)
        return values.transpose(0, 2, 3, 1) if values.ndim == 4 else values.reshape(1, 1, 1, -1)

    def _shape(self, index: int) -> tuple[int, ...]:
        return tuple(self._graph.tensors[index].shape)

    def _tensor(self, name: str, shape: Sequence[int], buffer: int = 0, kind: Any = None) -> int:
        tensor = self._schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, [int(size) for size in shape], buffer
        tensor.type = self._schema.TensorType.FLOAT32 if kind is None else kind
        self._graph.tensors.append(tensor)
        self._index[name] = len(self._graph.tensors) - 1
        return self._index[name]

    def _constant(self, values: NDArray[Any]) -> int:
        buffer = self._schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        types = self._schema.TensorType
        kind = types.INT32 if values.dtype == np.int32 else types.FLOAT32
        return self._tensor(f"constant {len(self._model.buffers)}", values.shape, len(self._model.buffers) - 1, kind)

    def _operator(self, code: str, inputs: list[int], output: int, options: Any, kind: str) -> None:
        schema = self._schema
        entry, operator = schema.OperatorCodeT(), schema.OperatorT()
        entry.builtinCode = getattr(schema.BuiltinOperator, code)
        entry.deprecatedBuiltinCode = min(entry.builtinCode, 127)
        entry.version = 2 if code == "CONV_2D" else 1
        self._model.operatorCodes.append(entry)
        operator.opcodeIndex = len(self._model.operatorCodes) - 1
        operator.inputs, operator.outputs = inputs, [output]
        operator.builtinOptions, operator.builtinOptionsType = options, getattr(schema.BuiltinOptions, kind)
        self._graph.operators.append(operator)


def _mode(node: Node) -> str:
    mode = node.attributes.get("mode", "DCR")
    return mode if isinstance(mode, str) else bytes(mode).decode()


BACKEND = Backend(
    name="litert",
    title="LiteRT (XNNPACK)",
    kind="cpu",
    runs=("fp32", "fp16", "bf16"),
    rank=30,
    open=open_model,
    probe=lambda: missing("ai_edge_litert"),
    remedy="run  pip install 'edgerecon[litert]'",
    extra="litert",
    packages=("ai-edge-litert",),
)

"""A torch network as an ONNX file that says everything a runtime needs to know of it."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgerecon.core import __version__
from edgerecon.core.errors import EdgereconError, GateError, needed
from edgerecon.core.files import write
from edgerecon.deploy.export.parity import max_abs_error
from edgerecon.modelfile.file import PREFIX
from edgerecon.modelfile.ports import INPUT, OUTPUT, STATE_IN, STATE_OUT
from edgerecon.workshop.models.network import Network
from edgerecon.workshop.models.temporal import Temporal

OPSET = 18
"""The lowest that the dynamo exporter writes, for the older parsers of Jetson's TensorRT; with it goes IR version 8."""
IR_VERSION = 8
NOTICE = "For research and engineering. Not a medical device; not for clinical use."
NOT_STATED = "not stated"
"""Licence of a network whose author named none."""
TOLERANCE = 1e-4
"""Between torch and ONNX Runtime, grey levels in [0, 1]: deep networks add up more rounding than the compact one."""


def save_network(network: Network, path: Path, *, name: str, task: str, tolerance: float = TOLERANCE) -> float:
    """Write a network that has no recipe, behind the parity gate; nothing is written unless it is passed.

    Returns:
        The greatest difference between ONNX Runtime and torch, grey levels in [0, 1].

    Raises:
        GateError: the difference is above ``tolerance``, or the file is not valid ONNX. EdgereconError: the folder
        cannot be written.
    """
    graph = network_graph(network.eval(), {"name": name, "task": task, "recipe_hash": "", "licence": NOT_STATED})
    check_graph(graph)
    content = graph.SerializeToString(deterministic=True)
    error = max_abs_error(content, network)
    if not error <= tolerance:
        raise GateError(f"{name}: ONNX Runtime and torch differ by {error:.2g}, allowed is {tolerance:.2g}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise EdgereconError(f"cannot write {path}: {fault.strerror or fault}") from None
    write(path, content)
    return error


def network_graph(model: Network, facts: Mapping[str, str]) -> Any:
    """The core as an ``onnx.ModelProto`` with dynamic batch, height and width.

    Args:
        facts: metadata that the network does not know: name, task, recipe_hash, licence and, if measured, quality.
    """
    with needed("train"):
        import onnx
        import onnxscript

    def space_to_depth(x: Any, factor: int) -> Any:
        # For one channel this is pixel-unshuffle exactly; the exporter's own way takes fifteen shape operators.
        return onnxscript.opset18.SpaceToDepth(x, blocksize=factor)

    inputs: tuple[Tensor, ...] = (
        torch.zeros(2, model.input_channels, 16 * model.size_multiple, 24 * model.size_multiple),
    )
    if isinstance(model, Temporal):
        inputs += (model.initial_state(inputs[0]),)
    with quiet():
        program = torch.onnx.export(
            _Core(model).eval(),
            inputs,
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT, STATE_IN][: len(inputs)],
            output_names=[OUTPUT, STATE_OUT][: len(inputs)],
            dynamic_shapes=_dynamic_shapes(model),
            custom_translation_table={torch.ops.aten.pixel_unshuffle.default: space_to_depth},
            verbose=False,
        )
    assert program is not None
    graph = onnx.ModelProto()
    graph.CopyFrom(program.model_proto)
    _strip(graph, facts["name"])
    _name_sizes(graph.graph, model)
    metadata = _metadata(model) | dict(facts)
    onnx.helper.set_model_props(graph, {PREFIX + key: value for key, value in metadata.items()})
    return graph


class _Core(nn.Module):
    def __init__(self, model: Network) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return self.model.step(*inputs) if isinstance(self.model, Temporal) else self.model.core(*inputs)


def _dynamic_shapes(model: Network) -> tuple[tuple[dict[int, Any], ...]]:
    """Batch, height and width are free, the latter two in the multiples that the graph accepts."""
    n, h, w = (torch.export.Dim(name, min=1) for name in "nhw")

    def sizes(multiple: int) -> dict[int, Any]:
        return {0: n, 2: multiple * h, 3: multiple * w} if multiple > 1 else {0: n, 2: h, 3: w}

    found = [sizes(model.size_multiple)]
    if isinstance(model, Temporal):
        found.append(sizes(model.size_multiple // model.state_divisor))
    return (tuple(found),)


def _metadata(model: Network) -> dict[str, str]:
    state = []
    if isinstance(model, Temporal):
        state = [{"name": "state", "channels": model.state_channels, "divisor": model.state_divisor}]
    fixed = {"output": json.dumps(model.fixed_output)} if model.fixed_output else {}
    if model.input_channels > 1:
        fixed |= {"channels": str(model.input_channels), "f_number": f"{model.f_number:g}"}
    return {
        "format": "3" if model.input_channels > 1 else "1",
        "input_range": "[0, 1]",
        "scale": str(model.scale),
        "size_multiple": str(model.size_multiple),
        "state": json.dumps(state),
        "precision": "fp32",
        "receptive_field": str(model.receptive_field),
        "macs_per_pixel": f"{model.macs_per_pixel():g}",
        "quality": "{}",
        "notice": NOTICE,
    } | fixed


def _strip(graph: Any, name: str) -> None:
    """Drop source paths, stack traces and inferred shapes: bytes that no runtime reads and that vary by machine."""
    graph.ir_version = IR_VERSION
    graph.producer_name, graph.producer_version = "edgerecon", __version__
    graph.doc_string = ""
    del graph.metadata_props[:]
    body = graph.graph
    body.name, body.doc_string = name, ""
    del body.metadata_props[:], body.value_info[:], body.quantization_annotation[:]
    for part in (*body.node, *body.initializer, *body.input, *body.output):
        part.doc_string = ""
        del part.metadata_props[:]


def _name_sizes(body: Any, model: Network) -> None:
    """Free axes have the names N, H and W, or say how they follow from them; a fixed output keeps its size."""
    fits = {INPUT: "", OUTPUT: f"*{model.scale}" if model.scale > 1 else ""}
    if isinstance(model, Temporal):
        fits[STATE_IN] = fits[STATE_OUT] = f"/{model.state_divisor}" if model.state_divisor > 1 else ""
    for value in (*body.input, *body.output):
        axes = value.type.tensor_type.shape.dim
        axes[0].dim_param = "N"
        if value.name == OUTPUT and model.fixed_output:
            axes[2].dim_value, axes[3].dim_value = model.fixed_output
        else:
            axes[2].dim_param, axes[3].dim_param = (f"{side}{fits[value.name]}" for side in "HW")


def check_graph(graph: Any) -> None:
    """Raises GateError: it is not valid ONNX, or it holds a Pad."""
    import onnx

    try:
        onnx.checker.check_model(graph, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise GateError(f"the exported graph is not valid ONNX: {str(error).splitlines()[0]}") from None
    if any(node.op_type == "Pad" for node in graph.graph.node):
        raise GateError("the exported graph holds a Pad: padding is the engine's work, move it out of core()")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporter's notes about itself from the user."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

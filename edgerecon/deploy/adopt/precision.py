"""The precision that a foreign file is stored in."""

from __future__ import annotations

from edgerecon.deploy.adopt.foreign import ModelProto, TensorProto

_QUANTISED = ("QuantizeLinear", "QLinearConv", "DynamicQuantizeLinear", "ConvInteger")
_ZERO_POINT = {"QuantizeLinear": 2, "QLinearConv": 2}


def stored_precision(model: ModelProto) -> tuple[str, str]:
    """Precision and form as the metadata state them: by its quantised operators, else by what most weights are."""
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in _QUANTISED:
            at = _ZERO_POINT.get(node.op_type)
            zero = node.input[at] if at is not None and len(node.input) > at else ""
            return "int8", "signed" if kinds.get(zero) == TensorProto.INT8 else "unsigned"
    sizes: dict[int, int] = {}
    for tensor in model.graph.initializer:
        count = 1
        for length in tensor.dims:
            count *= length
        sizes[tensor.data_type] = sizes.get(tensor.data_type, 0) + count
    names = {TensorProto.FLOAT16: "fp16", TensorProto.BFLOAT16: "bf16"}
    most = max((TensorProto.FLOAT, *names), key=lambda kind: sizes.get(kind, 0))
    return names.get(most, "fp32"), ""

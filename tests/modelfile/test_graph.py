"""Constants and attributes of a graph are read as onnx reads them, however a tool has stored them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgerecon.modelfile.file import read_model
from edgerecon.modelfile.graph import Node, read_graph

VALUES = [1.5, -2.0, 0.0, 3.0]
FACTS = {
    "format": "1",
    "name": "mine",
    "task": "restore",
    "scale": "1",
    "size_multiple": "1",
    "recipe_hash": "",
    "precision": "fp32",
}
KINDS = ["FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE", "INT8", "UINT8", "INT32", "INT64", "BOOL"]


def read(folder: Path, *tensors: TensorProto) -> tuple[list[Node], dict[str, np.ndarray]]:
    node = helper.make_node("LeakyRelu", ["frame"], ["reconstruction"], alpha=0.25)
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1, "h", "w"])
        for name in ("frame", "reconstruction")
    ]
    model = helper.make_model(helper.make_graph([node], "g", ports[:1], ports[1:], list(tensors)))
    helper.set_model_props(model, {f"edgerecon.{key}": value for key, value in FACTS.items()})
    (folder / "mine.onnx").write_bytes(model.SerializeToString())
    return read_graph(read_model(folder / "mine.onnx"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_of_numbers_is_read_as_onnx_reads_it(kind: str, tmp_path: Path) -> None:
    tensor = helper.make_tensor("t", getattr(TensorProto, kind), [2, 2], np.abs(VALUES) if kind == "UINT8" else VALUES)
    assert not tensor.raw_data
    found = read(tmp_path, tensor)[1]["t"]
    np.testing.assert_array_equal(found, numpy_helper.to_array(tensor).astype(found.dtype))
    assert found.shape == (2, 2)


def test_a_fraction_is_an_attribute(tmp_path: Path) -> None:
    assert read(tmp_path)[0][0].attributes == {"alpha": 0.25}

"""What is refused before a runtime sees it, with files made by the onnx package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgerecon.core.errors import ModelError
from edgerecon.modelfile import file as model_file
from edgerecon.modelfile.file import read_model

METADATA = {
    "format": "1",
    "name": "m",
    "task": "compound",
    "scale": "1",
    "size_multiple": "2",
    "state": "[]",
    "precision": "fp32",
    "recipe_hash": "ab",
    "quality": '{"ssim": 0.8}',
    "receptive_field": "26",
}


def _external(location: str) -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", "4")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def _model(**metadata: str) -> onnx.ModelProto:
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, None, None])
        for name in ("frame", "reconstruction")
    ]
    weight = numpy_helper.from_array(np.float32([1.5]), "k")
    nodes = [helper.make_node("Mul", ["frame", "k"], ["reconstruction"])]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    helper.set_model_props(model, {f"edgerecon.{key}": value for key, value in (METADATA | metadata).items()})
    return model


def _in_initializer(model: onnx.ModelProto, tensor: TensorProto) -> None:
    model.graph.initializer.append(tensor)


def _in_constant(model: onnx.ModelProto, tensor: TensorProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["w"], value=tensor))


def _in_branch(model: onnx.ModelProto, tensor: TensorProto) -> None:
    branch = helper.make_graph([], "b", [], [helper.make_tensor_value_info("w", 1, [1])], [tensor])
    model.graph.node.append(helper.make_node("If", ["c"], ["o"], then_branch=branch, else_branch=branch))


def _in_function(model: onnx.ModelProto, tensor: TensorProto) -> None:
    node = helper.make_node("Constant", [], ["w"], value=tensor)
    model.functions.append(helper.make_function("d", "f", [], ["w"], [node], []))


def _in_sparse(model: onnx.ModelProto, tensor: TensorProto) -> None:
    model.graph.sparse_initializer.add().values.CopyFrom(tensor)


def _in_training(model: onnx.ModelProto, tensor: TensorProto) -> None:
    model.training_info.add().initialization.initializer.append(tensor)


def _in_attribute_list(model: onnx.ModelProto, tensor: TensorProto) -> None:
    model.graph.node.append(helper.make_node("Relu", ["frame"], ["o"], several=[tensor, tensor]))


PLACES = [_in_initializer, _in_constant, _in_branch, _in_function, _in_sparse, _in_training, _in_attribute_list]


def test_metadata_is_read_without_a_runtime(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(_model(), path)
    file = read_model(path)
    spec = file.spec
    assert (spec.name, spec.task, spec.scale, spec.size_multiple) == ("m", "compound", 1, 2)
    assert (spec.recipe_hash, spec.precision, spec.quality, spec.receptive_field) == ("ab", "fp32", {"ssim": 0.8}, 26)
    assert file.content == path.read_bytes()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("location", ["/etc/passwd", "../weights.bin", "weights.bin"])
def test_weights_elsewhere_are_refused_wherever_they_hide(tmp_path: Path, place: object, location: str) -> None:
    model = _model()
    place(model, _external(location))  # type: ignore[operator]
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=f"another file .'{location}'"):
        read_model(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    "change",
    [
        {"scale": "0"},
        {"scale": "x"},
        {"size_multiple": "-2"},
        {"size_multiple": "4096"},
        {"format": "4"},
        {"channels": "15", "f_number": "1"},
        {"channels": "16"},
        {"channels": "16", "f_number": "nan"},
        {"tile": "[8]"},
        {"tile": "[8, 8]", "halo": "4"},
        {"state": '["h"]'},
        {"state": "["},
        {"quality": "[]"},
        {"quality": '{"a": "b"}'},
        {"receptive_field": "big"},
    ],
)
def test_metadata_that_makes_no_sense(tmp_path: Path, change: dict[str, str]) -> None:
    (tmp_path / "m.onnx").write_bytes(_model(**change).SerializeToString())
    with pytest.raises(ModelError, match="broken metadata") as caught:
        read_model(tmp_path / "m.onnx")
    assert "\n" not in str(caught.value)


def test_files_that_are_not_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = _model()
    del foreign.metadata_props[:]
    (tmp_path / "foreign.onnx").write_bytes(foreign.SerializeToString())
    (tmp_path / "empty.onnx").touch()
    (tmp_path / "text.onnx").write_text("<html>404 not found</html>")
    (tmp_path / "folder.onnx").mkdir()
    for name, says in (
        ("absent", "cannot read"),
        ("folder", "cannot read"),
        ("empty", "is empty"),
        ("text", "corrupt"),
        ("foreign", "not made by edgerecon"),
    ):
        with pytest.raises(ModelError, match=says):
            read_model(tmp_path / f"{name}.onnx")
    monkeypatch.setattr(model_file, "MAX_BYTES", 100)
    with pytest.raises(ModelError, match="too large"):
        read_model(tmp_path / "foreign.onnx")


def test_a_nest_too_deep(tmp_path: Path) -> None:
    graph = b""
    for _ in range(200):  # graph in attribute in node in graph …, by hand: the onnx package refuses to write it
        for tag in (0x32, 0x2A, 0x0A):
            length = len(graph)
            graph = bytes([tag]) + _varint(length) + graph
    (tmp_path / "deep.onnx").write_bytes(b"\x3a" + _varint(len(graph)) + graph)
    with pytest.raises(ModelError, match="corrupt"):
        read_model(tmp_path / "deep.onnx")


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_never_escapes_as_another_error(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(_model().SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    path = tmp_path / "damaged.onnx"
    for damaged in (bytes(content), bytes(content[:cut])):
        path.write_bytes(damaged)
        try:
            read_model(path)
        except ModelError as error:
            assert "\n" not in str(error)


def test_every_metadata_key_of_shipped_files_is_documented() -> None:
    root = Path(__file__).resolve().parents[2]
    page = (root / "docs/bring-your-own.md").read_text(encoding="utf-8")
    keys = {entry.key for path in (root / "export").glob("*.onnx") for entry in onnx.load(path).metadata_props}
    assert len(keys) > 10
    assert {key for key in keys if f"`{key}`" not in page} == set()

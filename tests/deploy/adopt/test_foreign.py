"""What is read of a foreign file, what is refused, and what is changed so that it can be run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgerecon.core.errors import ModelError, UsageError
from edgerecon.core.shipped import resource_dir
from edgerecon.deploy.adopt import foreign
from edgerecon.deploy.adopt.foreign import read_foreign
from tests.support.foreign_networks import Foreign, build


def saved(folder: Path, model: onnx.ModelProto, name: str = "foreign.onnx") -> Path:
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


def scattered(folder: Path, name: str = "weights.bin") -> Path:
    """A network whose weights lie in another file."""
    path = folder / "foreign.onnx"
    onnx.save(build(Foreign("a")), path, save_as_external_data=True, location=name, size_threshold=0)
    return path


def test_weights_beside_the_file_are_taken_in(tmp_path: Path) -> None:
    found = read_foreign(scattered(tmp_path))
    expected = build(Foreign("a"))
    assert found.notes == ["weights taken in from weights.bin"]
    for one, other in zip(found.model.graph.initializer, expected.graph.initializer, strict=True):
        assert np.array_equal(onnx.numpy_helper.to_array(one), onnx.numpy_helper.to_array(other))


@pytest.mark.parametrize("location", ["/etc/passwd", "../weights.bin", "sub/weights.bin", "..", "", "absent.bin"])
def test_weights_elsewhere_are_refused(tmp_path: Path, location: str) -> None:
    path = scattered(tmp_path)
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "weights.bin").write_bytes((tmp_path / "weights.bin").read_bytes())
    with pytest.raises(ModelError, match="not beside it|cannot read"):
        read_foreign(saved(tmp_path, model))


def test_links_and_short_weights_are_refused(tmp_path: Path) -> None:
    path = scattered(tmp_path)
    weights = tmp_path / "weights.bin"
    content = weights.read_bytes()
    weights.write_bytes(content[:10])
    with pytest.raises(ModelError, match="bytes that weights.bin does not have"):
        read_foreign(path)
    weights.rename(tmp_path / "other.bin")
    weights.symlink_to(tmp_path / "other.bin")
    with pytest.raises(ModelError, match="is a link"):
        read_foreign(path)


def test_too_large_weights_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "MAX_BYTES", 16)
    with pytest.raises(ModelError, match="the limit is"):
        read_foreign(scattered(tmp_path))


def test_our_own_file_needs_no_adoption() -> None:
    with pytest.raises(UsageError, match="has edgerecon's metadata already"):
        read_foreign(resource_dir("export") / "compact-despeckle.onnx")


def test_operators_that_are_absent_are_named(tmp_path: Path) -> None:
    for domain in ("", "somebody.else"):
        ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, "h", "w"]) for name in "xy"]
        graph = helper.make_graph([helper.make_node("Sharpen", ["x"], ["y"], domain=domain)], "g", ports[:1], ports[1:])
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid("somebody.else", 1)]
        with pytest.raises(ModelError, match="onnxruntime has no operator .*Sharpen"):
            read_foreign(saved(tmp_path, helper.make_model(graph, opset_imports=opsets, ir_version=8)))


def test_newer_and_older_files_are_converted(tmp_path: Path) -> None:
    newer = build(Foreign("a"))
    newer.ir_version = 99
    found = read_foreign(saved(tmp_path, newer))
    assert found.notes[0].startswith("IR version 99 is newer than ONNX Runtime: lowered to ")
    old = build(Foreign("a", opset=9))
    found = read_foreign(saved(tmp_path, old))
    assert found.opset == 11 and "converted to opset 11" in found.notes[0]


def test_opset_that_onnx_runtime_lacks_is_lowered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = foreign.refusal

    def refusal(model: onnx.ModelProto) -> str:
        return "opset 18 is under development" if model.opset_import[0].version > 16 else real(model)

    monkeypatch.setattr(foreign, "refusal", refusal)
    found = read_foreign(saved(tmp_path, build(Foreign("a"))))
    assert found.opset == 16
    assert found.notes == ["opset 18 is newer than ONNX Runtime: converted to opset 16"]


def test_opset_of_the_future_is_said(tmp_path: Path) -> None:
    model = build(Foreign("a"))
    model.opset_import[0].version = 999
    with pytest.raises(ModelError, match="opset 999 is newer"):
        read_foreign(saved(tmp_path, model))


@pytest.mark.parametrize("content", [b"", b"\x08", b"<html>not found</html>", b"\x3a\x00"])
def test_files_that_are_no_networks(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        read_foreign(path)
    assert "\n" not in str(caught.value)

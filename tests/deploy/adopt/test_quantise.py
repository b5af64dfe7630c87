"""An adopted file in int8: good enough, faster, or not written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgerecon.core.errors import GateError, UsageError
from edgerecon.deploy.adopt import quantise
from edgerecon.deploy.adopt.adopt import adopt
from edgerecon.deploy.adopt.frames import trial_frames
from edgerecon.deploy.adopt.inspect import Asked
from edgerecon.deploy.adopt.quantise import export_int8
from edgerecon.deploy.adopt.ranges import UNIT
from edgerecon.engines import open_engine
from edgerecon.modelfile.file import read_model
from tests.support.foreign_networks import Foreign, build


@pytest.fixture(scope="module")
def adopted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adopted")
    (folder / "foreign.onnx").write_bytes(build(Foreign("dncnn")).SerializeToString())
    return adopt(folder / "foreign.onnx", folder / "mine.onnx").path


def timed(int8_ms: float) -> object:
    return lambda *given: {"fp32": {"onnxruntime": 2.0}, "int8": {"onnxruntime": int8_ms}}


def test_faster_int8_is_written(adopted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantise, "_timed", timed(1.0))
    made = export_int8(adopted, tmp_path / "out")
    assert made.path == tmp_path / "out" / "mine-int8.onnx" and made.rms <= quantise.GREATEST_RMS
    frame = trial_frames()[1]
    one, other = (open_engine(path, "onnxruntime") for path in (made.path, adopted))
    assert (one.spec.precision, one.spec.model.form) == ("int8", "unsigned")
    assert np.abs(one.run(frame) - other.run(frame)).mean() < 2 / 255
    with pytest.raises(UsageError, match="is int8"):
        export_int8(made.path, tmp_path)


def test_slower_int8_is_not_written(adopted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantise, "_timed", timed(2.0))
    with pytest.raises(GateError, match="int8 takes 2.00 ms for a frame here and fp32 2.00 ms: it is not written"):
        export_int8(adopted, tmp_path)
    assert not list(tmp_path.iterdir())


def test_costly_layers_stay_in_float(adopted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate lies between what both layers cost and what the cheaper one costs."""
    monkeypatch.setattr(quantise, "_timed", timed(1.0))
    made = export_int8(adopted, tmp_path)
    monkeypatch.setattr(quantise, "GREATEST_RMS", 0.999 * made.rms)
    again = export_int8(adopted, tmp_path)
    assert len(again.kept) == 1 and again.rms < made.rms
    monkeypatch.setattr(quantise, "GREATEST_RMS", 0.0)
    with pytest.raises(GateError, match="of 2 layers in float"):
        export_int8(adopted, tmp_path)


@pytest.mark.parametrize("opset", [11, 12])
def test_an_old_opset_is_quantised(opset: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no QuantizeLinear with a scale a channel."""
    monkeypatch.setattr(quantise, "_timed", timed(1.0))
    (tmp_path / "foreign.onnx").write_bytes(build(Foreign("dncnn", opset=opset)).SerializeToString())
    made = export_int8(adopt(tmp_path / "foreign.onnx", tmp_path / "mine.onnx").path, tmp_path / "out")
    assert made.rms <= quantise.GREATEST_RMS and read_model(made.path).spec.precision == "int8"


def test_what_the_runtime_refuses_keeps_its_name(
    adopted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = quantise._quantise

    def spoiled(source: Path, target: Path, *given: object) -> None:
        whole(source, target, *given)  # type: ignore[arg-type]
        model = onnx.load(target)
        model.graph.node[0].op_type = "NoSuchOperator"
        target.write_bytes(model.SerializeToString())

    monkeypatch.setattr(quantise, "_quantise", spoiled)
    with pytest.raises(
        GateError, match=r"^mine.onnx cannot be quantised \(onnxruntime refuses it .*: keep the fp32 file"
    ):
        export_int8(adopted, tmp_path)


def test_layers_about_an_outlying_channel_stay_in_float(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of eight channels is 2000 times as large as the others between the third and the fourth layer."""
    monkeypatch.setattr(quantise, "_timed", timed(1.0))
    channels, rng = [1, 8, 8, 8, 8, 8, 1], np.random.default_rng(0)
    weights = [
        np.abs(rng.random((after, before, 3, 3), np.float32)) / (9 * before * 0.5)
        for before, after in zip(channels, channels[1:], strict=False)
    ]
    weights[2][0] *= 2000
    weights[3][:, 0] /= 2000
    values = ["frame", *(f"t{number}" for number in range(1, 6)), "reconstruction"]
    nodes = [
        helper.make_node("Conv", [values[at], f"w{at}"], [values[at + 1]], f"layer {at}", pads=[1] * 4)
        for at in range(6)
    ]
    frame, picture = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 1, "h", "w"])
        for name in ("frame", "reconstruction")
    )
    given = [numpy_helper.from_array(one, f"w{at}") for at, one in enumerate(weights)]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [frame], [picture], given),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=8,
    )
    (tmp_path / "foreign.onnx").write_bytes(model.SerializeToString())
    asked = Asked(given=UNIT, returned=UNIT)
    made = export_int8(adopt(tmp_path / "foreign.onnx", tmp_path / "mine.onnx", asked).path, tmp_path / "out")
    assert {name[-1] for name in made.kept} == {"2", "3"} and made.rms <= quantise.GREATEST_RMS

"""An adopted file in int8: good enough, faster, or not written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.errors import GateError, UsageError
from edgerecon.deploy.adopt import quantise
from edgerecon.deploy.adopt.adopt import adopt
from edgerecon.deploy.adopt.frames import trial_frames
from edgerecon.deploy.adopt.quantise import export_int8
from edgerecon.engines import open_engine
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

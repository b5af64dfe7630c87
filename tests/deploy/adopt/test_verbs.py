"""An adopted file goes through the verbs as any other; what cannot be done with a map is said."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from edgerecon.cli.main import app
from edgerecon.core.errors import UsageError
from edgerecon.deploy.adopt.adopt import adopt
from edgerecon.deploy.adopt.inspect import Asked
from edgerecon.deploy.adopt.quantise import export_int8
from edgerecon.deploy.adopt.ranges import UNIT
from edgerecon.engines import open_engine
from edgerecon.quality.evaluate.evaluate import evaluate
from tests.support import foreign_maps
from tests.support.foreign_networks import Foreign, build


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """picture.onnx and map.onnx, adopted; frame.png."""
    folder = tmp_path_factory.mktemp("adopted")
    for name, model in (("picture", build(Foreign("dncnn"))), ("map", foreign_maps.classes(4))):
        (folder / "foreign.onnx").write_bytes(model.SerializeToString())
        adopt(folder / "foreign.onnx", folder / f"{name}.onnx", Asked(given=UNIT))
    frame = np.random.default_rng(0).integers(0, 255, (48, 64), np.uint8)
    cv2.imwrite(str(folder / "frame.png"), frame)
    return folder


def ran(*words: object) -> None:
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, (result.output, result.exception)


def test_evaluate_measures_an_adopted_file(folder: Path) -> None:
    engine = open_engine(folder / "picture.onnx", "onnxruntime", threads=1)
    result = evaluate(engine, folder / "frame.png", methods=[], limit=1)
    engine.close()
    assert {one["method"] for one in result.to_json()["rows"]} >= {"input"}


def test_evaluate_and_export_want_pictures(folder: Path) -> None:
    engine = open_engine(folder / "map.onnx", "onnxruntime", threads=1)
    with pytest.raises(UsageError, match="map gives no picture: stream or bench it"):
        evaluate(engine, folder / "frame.png", methods=[], limit=1)
    engine.close()
    with pytest.raises(UsageError, match="gives a map or scores: int8 wants"):
        export_int8(folder / "map.onnx")

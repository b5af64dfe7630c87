"""Networks that give a map or scores in place of a picture are adopted, and what they say is drawn over the frame."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from edgerecon.core.errors import ModelError, UsageError
from edgerecon.core.frame import Image, to_uint8
from edgerecon.deploy.adopt.adopt import Adoption, adopt
from edgerecon.deploy.adopt.frames import trial_frames
from edgerecon.deploy.adopt.inspect import OVERLAY, Asked
from edgerecon.deploy.adopt.ranges import UNIT
from edgerecon.engines import open_engine
from edgerecon.stream.engines import Engines
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.picture.overlay import PALETTE
from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sources import open_source
from edgerecon.stream.sources.base import Capture
from tests.support import foreign_maps
from tests.support.stream_fakes import KeepSink, ListSource


@pytest.fixture(scope="module")
def frame() -> Image:
    return trial_frames()[0]


def adopted(folder: Path, model: onnx.ModelProto, asked: Asked) -> Adoption:
    (folder / "foreign.onnx").write_bytes(model.SerializeToString())
    return adopt(folder / "foreign.onnx", folder / "adopted.onnx", asked)


def ran(path: Path, frame: Image) -> Image:
    engine = open_engine(path, "onnxruntime")
    try:
        return np.array(engine.run(frame))
    finally:
        engine.close()


def truth(model: onnx.ModelProto, frame: Image) -> np.ndarray:
    """What the network gives, by a run of its own."""
    import onnxruntime as ort

    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": frame[None, None]})[0][0])


@pytest.mark.parametrize("closed", [True, False], ids=["sigmoid", "logit"])
def test_probability_map_is_carried_as_one(tmp_path: Path, frame: Image, closed: bool) -> None:
    model = foreign_maps.probability(closed)
    adoption = adopted(tmp_path, model, Asked(given=UNIT, way=OVERLAY))
    assert (adoption.spec.overlay, adoption.spec.task, adoption.spec.scale) == ("probability", "segment", 1)
    assert np.allclose(ran(adoption.path, frame), truth(foreign_maps.probability(), frame)[0], atol=1e-5)


@pytest.mark.parametrize("whole", [False, True], ids=["logits", "int64"])
def test_map_of_classes_is_carried_as_one(tmp_path: Path, frame: Image, whole: bool) -> None:
    adoption = adopted(tmp_path, foreign_maps.classes(4, whole), Asked(given=UNIT))
    assert adoption.spec.overlay == "labels"
    expected = truth(foreign_maps.classes(4, whole=True), frame)
    found = to_uint8(ran(adoption.path, frame))
    assert set(np.unique(expected)) >= {0, 1, 2} and (found == expected).mean() > 0.998


@pytest.mark.parametrize("side", [None, 64], ids=["any size", "one size"])
def test_class_scores_are_carried_as_probabilities(tmp_path: Path, frame: Image, side: int | None) -> None:
    adoption = adopted(tmp_path, foreign_maps.scores(5, side), Asked(given=UNIT))
    assert adoption.spec.fixed_output == (1, 5) and adoption.spec.tile is None
    found = ran(adoption.path, frame)
    assert found.sum() == pytest.approx(1, abs=1e-5)
    logits = truth(foreign_maps.scores(5), frame)
    assert found.ravel() == pytest.approx(np.exp(logits) / np.exp(logits).sum(), abs=0.02)


def test_range_of_a_map_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="say with --range"):
        adopted(tmp_path, foreign_maps.classes(), Asked())
    with pytest.raises(UsageError, match="--residual overlay for a map"):
        adopted(tmp_path, foreign_maps.probability(), Asked())
    assert not (tmp_path / "adopted.onnx").exists()


def test_three_channels_may_be_classes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--residual overlay where they are classes"):
        adopted(tmp_path, foreign_maps.classes(3), Asked(given=UNIT))
    assert adopted(tmp_path, foreign_maps.classes(3), Asked(given=UNIT, way=OVERLAY)).spec.overlay == "labels"


@pytest.mark.parametrize("name", ["detections", "output0"])
def test_detector_is_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match=f"'{name}': a detector's boxes are not drawn"):
        adopted(tmp_path, foreign_maps.boxes(name), Asked(given=UNIT))


def shown(path: Path, frame: Image, strength: float = 1.0) -> KeepSink:
    sink = KeepSink()
    with Engines("onnxruntime", threads=1, strength=strength) as engines:
        report = stream(ListSource([Capture(frame)]), engines.open(str(path)), [sink], policy="every", pace=False)
    assert report.presented == 1 and not report.raw_shown
    return sink


def test_classes_are_drawn_in_colour_over_the_frame(tmp_path: Path, frame: Image) -> None:
    path = adopted(tmp_path, foreign_maps.classes(4), Asked(given=UNIT)).path
    [after] = shown(path, frame).frames
    labels = to_uint8(ran(path, frame))
    assert np.array_equal(after.pixels, frame) and after.drawn is not None
    assert np.array_equal(after.drawn.where > 0, labels > 0)
    for label in (1, 2):
        expected = 0.5 * frame[labels == label][:, None] * 255 + 0.5 * PALETTE[label]
        assert np.abs(after.drawn.pixels[labels == label] - expected).max() <= 1
    [weak] = shown(path, frame, strength=0).frames
    assert weak.drawn is not None and not weak.drawn.where.any()


def test_scores_are_written_over_the_frame(tmp_path: Path, frame: Image) -> None:
    path = adopted(tmp_path, foreign_maps.scores(), Asked(given=UNIT)).path
    [after] = shown(path, frame).frames
    assert after.overlay is not None and np.array_equal(after.pixels, frame)
    rows, columns = np.nonzero(after.overlay.where)
    assert rows.min() > frame.shape[0] // 2 and columns.max() < frame.shape[1] // 2


@pytest.mark.parametrize("name", ["out.npz", "out.mp4"])
def test_recording_holds_what_is_drawn(tmp_path: Path, frame: Image, name: str) -> None:
    path = adopted(tmp_path, foreign_maps.classes(4), Asked(given=UNIT)).path
    sink = open_sink(str(tmp_path / name))
    with Engines("onnxruntime", threads=1) as engines:
        stream(ListSource([Capture(frame)] * 2), engines.open(str(path)), [sink], policy="every", pace=False)
    recorded = open_source(str(tmp_path / name))
    picture = next(recorded.frames()).image
    recorded.close()
    assert picture is not None and picture.ndim == 3
    after = picture[:, -frame.shape[1] :] if name.endswith("mp4") else picture
    inner = cv2.erode((to_uint8(ran(path, frame)) == 1).view(np.uint8), np.ones((5, 5), np.uint8)) > 0
    expected = 0.5 * frame[inner][:, None] * 255 + 0.5 * PALETTE[1]
    assert inner.sum() > 100 and np.abs(after[inner].mean(0) - expected.mean(0)).max() < (8 if "mp4" in name else 1)

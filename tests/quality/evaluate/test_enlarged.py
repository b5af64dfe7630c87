"""``evaluate`` of models that enlarge: reduced frames against the frames that they were."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from edgerecon.core.errors import DataError, UsageError
from edgerecon.core.frame import Image
from edgerecon.quality.evaluate.evaluate import evaluate
from edgerecon.quality.evaluate.evaluation import Evaluation
from edgerecon.quality.evaluate.pictures import contact_sheet
from tests.quality.evaluate.test_evaluate import FakeEngine


def enlarging(how: int, scale: int = 2, stated: int = 2) -> FakeEngine:
    engine = FakeEngine(lambda frame: np.clip(cv2.resize(frame, None, fx=scale, fy=scale, interpolation=how), 0, 1))
    engine.spec = replace(engine.spec, model=replace(engine.spec.model, scale=stated))
    return engine


@pytest.fixture
def frames() -> list[Image]:
    rng = np.random.default_rng(0)
    smooth = [cv2.GaussianBlur(rng.random((91, 70), np.float32), (0, 0), 1.5) for _ in range(4)]
    return [np.rint(255 * one) / np.float32(255) for one in smooth]  # recordings hold bytes


@pytest.fixture
def recordings(tmp_path: Path, frames: list[Image]) -> Path:
    folder = tmp_path / "recordings"
    folder.mkdir()
    for at, frame in enumerate(frames):
        np.savez(folder / f"{at}.npz", frames=frame[None])
    return folder


def figure(result: Evaluation, method: str) -> float:
    return float(result.line(method).measures["psnr_unmatched_db"]["mean"])


def test_reference_is_the_frame_and_the_input_its_reduction(recordings: Path, frames: list[Image]) -> None:
    result = evaluate(enlarging(cv2.INTER_LINEAR), recordings)
    expected = []
    for frame in frames:
        image = frame[:90]  # whole pixels of the reduced frame
        small = image.reshape(45, 2, 35, 2).mean((1, 3))
        large = cv2.resize(small, (70, 90), interpolation=cv2.INTER_LINEAR)
        expected.append(peak_signal_noise_ratio(image, large, data_range=1.0))
    assert figure(result, "model") == pytest.approx(np.mean(expected), abs=1e-3)
    assert [line.method for line in result.table] == ["bicubic", "lanczos", "model"]
    assert any("reduced ×2 by area" in note for note in result.notes)


def test_interpolation_as_model_has_no_advantage(recordings: Path, tmp_path: Path) -> None:
    result = evaluate(enlarging(cv2.INTER_CUBIC), recordings)
    assert figure(result, "model") == pytest.approx(figure(result, "bicubic"))
    assert result.advantage["psnr_unmatched_db"]["mean"] <= 1e-6
    contact_sheet(result, tmp_path / "sheet.png")
    assert cv2.imread(str(tmp_path / "sheet.png")) is not None
    assert result.to_json()["kind"] == "enlarged"


def test_what_cannot_be_compared_is_refused(recordings: Path, tmp_path: Path) -> None:
    engine = enlarging(cv2.INTER_CUBIC)
    with pytest.raises(UsageError, match="leave --method out"):
        evaluate(engine, recordings, methods=["median"])
    (tmp_path / "pairs.h5").touch()
    with pytest.raises(UsageError, match="give a recording"):
        evaluate(engine, tmp_path / "pairs.h5")
    np.savez(tmp_path / "small.npz", frames=np.zeros((1, 40, 20), np.float32))
    with pytest.raises(DataError, match="40×20 pixels: to be reduced ×2 it needs 32 a side"):
        evaluate(engine, tmp_path / "small.npz")
    with pytest.raises(UsageError, match="not .* as its file says"):
        evaluate(enlarging(cv2.INTER_CUBIC, scale=3), recordings)

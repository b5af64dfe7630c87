"""Held-out scenes beside a model: found, measured as ``evaluate`` measures, and refused when they are damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from edgerecon.core.errors import DataError
from edgerecon.quality.datasets.heldout import SCENES, find_heldout, pairs_path, restored_quality, write_heldout


def scenes(count: int = 3, frames: int = 2, side: int = 48) -> np.ndarray:
    return np.random.default_rng(5).random((count, frames, side, side), np.float32)


def test_the_shipped_tasks_have_scenes_and_others_have_none(tmp_path: Path) -> None:
    for task in ("despeckle", "compound"):
        found = find_heldout(tmp_path / "m.onnx", task)
        assert found is not None and found.given.shape == found.wanted.shape == (SCENES, 256, 256)
        assert found.given.dtype == np.uint8 and not np.array_equal(found.given, found.wanted)
    assert find_heldout(tmp_path / "m.onnx", "super-resolution") is None


def test_a_models_own_scenes_come_first(tmp_path: Path) -> None:
    given, wanted = scenes(12), scenes(12, side=96)
    assert write_heldout(tmp_path / "m.onnx", given, wanted) == pairs_path(tmp_path / "m.onnx")
    found = find_heldout(tmp_path / "m.onnx", "despeckle")
    assert found is not None and found.given.dtype == np.float32
    np.testing.assert_allclose(found.given, given[:SCENES], atol=2**-11)
    assert found.wanted.shape == (SCENES, 2, 96, 96)


def test_quality_agrees_with_skimage_and_counts_brightness() -> None:
    wanted = scenes()
    noise = np.random.default_rng(6).normal(0, 0.05, wanted.shape)
    outputs = np.asarray(0.5 * (wanted + noise) + 0.2, np.float32)
    psnr_db, similarity = restored_quality(outputs, wanted)
    expected = []
    for a, b in zip(outputs.reshape(-1, 48, 48).astype(float), wanted.reshape(-1, 48, 48).astype(float), strict=True):
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
        expected.append((peak_signal_noise_ratio(b, a, data_range=1.0), structural_similarity(b, a, **options)))
    assert psnr_db == pytest.approx(np.mean([e[0] for e in expected]), abs=1e-3)
    assert similarity == pytest.approx(np.mean([e[1] for e in expected]), abs=2e-3)


def test_whole_numbers_count_as_grey_levels() -> None:
    wanted = np.asarray(scenes() * 255, np.uint8)
    same = restored_quality(wanted.astype(np.float32) / 255, wanted)
    assert same[0] > 100 and same[1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "damaged"),
        (b"PK\x03\x04 nothing", "damaged"),
        ({"given": scenes()}, "lacks"),
        ({"given": scenes(), "wanted": scenes(2)}, "must hold"),
        ({"given": scenes()[0, 0], "wanted": scenes()}, "must hold"),
        ({"given": scenes(), "wanted": scenes().astype(complex)}, "must hold"),
    ],
)
def test_damaged_scenes_are_refused(content: bytes | dict[str, np.ndarray], said: str, tmp_path: Path) -> None:
    path = pairs_path(tmp_path / "m.onnx")
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.savez(path, **content)
    with pytest.raises(DataError, match=said):
        find_heldout(tmp_path / "m.onnx", "despeckle")


def test_sizes_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(DataError, match="has no truth of shape"):
        restored_quality(scenes(), scenes(side=24))
    with pytest.raises(DataError, match="too small"):
        restored_quality(scenes(side=5), scenes(side=5))

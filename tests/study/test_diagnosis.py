"""Figures of detection, the classical classifier, the check for hallucinations, and the system as a whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from edgerecon.study import classical_classifier
from edgerecon.study.context import Context
from edgerecon.study.detection import auc, auc_difference, best_cut, detection
from edgerecon.study.hallucination import contrast_kept, spurious_contrast
from edgerecon.study.profile import profile
from edgerecon.study.results import Result
from edgerecon.study.systems import diagnosis


def test_the_area_is_that_of_scikit_learn(rng: np.random.Generator) -> None:
    truth = np.arange(60) % 3 > 0
    scores = np.round(truth + rng.normal(0, 1, 60), 1)  # with ties
    found = auc(scores, truth)
    assert found["mean"] == pytest.approx(roc_auc_score(truth, scores))
    assert found["low"] < found["mean"] < found["high"]
    assert auc_difference(scores, scores, truth) == {"mean": 0, "low": 0, "high": 0}


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Scores N(1, 1) against N(0, 1): AUC = Φ(1/√2) = 0.760."""
    truth = np.arange(80) % 2 > 0
    held = [
        found["low"] <= 0.760 <= found["high"]
        for seed in range(60)
        if (found := auc(truth + np.random.default_rng(seed).normal(0, 1, 80), truth))
    ]
    assert 0.85 <= np.mean(held) <= 1


def test_sensitivity_and_specificity_at_the_best_cut() -> None:
    scores, truth = [0.1, 0.2, 0.6, 0.4, 0.7, 0.9], [False, False, False, True, True, True]
    assert best_cut(scores, truth) == pytest.approx(0.3) or best_cut(scores, truth) == pytest.approx(0.65)
    found = detection(scores, truth, 0.5)
    assert found["sensitivity"]["mean"] == pytest.approx(2 / 3) and found["specificity"]["mean"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("kind", ["SVM", "decision tree"])
def test_the_classical_pipeline_finds_what_is_easy(kind: classical_classifier.Kind, rng: np.random.Generator) -> None:
    truth = np.arange(40) % 2 > 0
    frames = rng.integers(100, 200, (40, 32, 32)).astype(np.uint8)
    frames[truth, 8:20, 8:20] = 20
    features = np.stack([classical_classifier.frame_features(frame) for frame in frames])
    fitted = classical_classifier.fit(kind, features[:24], truth[:24])
    assert auc(classical_classifier.score(fitted, features[24:]), truth[24:])["mean"] > 0.95


def test_a_lesion_that_is_drawn_in_is_found() -> None:
    clean = np.full((64, 64), 0.5, np.float32)
    y, x = np.mgrid[:64, :64]
    radius = np.hypot(x - 30, y - 34) / 10
    drawn = clean - 0.2 * (radius < 1)
    assert spurious_contrast(clean, clean) == 0
    assert spurious_contrast(drawn, clean) == pytest.approx(0.2, rel=0.1)
    half = clean - 0.1 * (radius < 1)
    assert contrast_kept([half, clean], [drawn, clean], [radius, radius])[0] == pytest.approx(0.5)
    assert np.isnan(contrast_kept([half], [clean], [radius])[0])


def test_the_system_runs_and_says_what_it_was_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Context, "ship", lambda self, network, name, task, shape: self.result.notes.append(name))
    result = Result("diagnosis", diagnosis.TITLE, diagnosis.PAPER)
    diagnosis.run(Context(profile("smoke"), tmp_path, result))
    titles = [table.title for table in result.tables]
    assert len(titles) == 3 and "Does reconstruction help detection? (DenseNet-201)" in titles
    methods = {row.method for row in result.tables[1].rows}
    assert methods >= {f"{name}, trained on it" for name in diagnosis.VERSIONS}
    kept = result.tables[2]
    assert kept.mean(diagnosis.TRUE, "spurious_contrast") == 0
    assert kept.mean(diagnosis.TRUE, "cyst_contrast_kept") == pytest.approx(1)
    assert sum("within 5%" in claim.text for claim in result.claims) == 2
    assert sum(note.startswith("study-densenet201-") for note in result.notes) == 4
    assert len(result.pictures[0].panels) == 4

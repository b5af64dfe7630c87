"""Restoration and enhancement: what networks are given, what is measured, and how methods are compared."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from edgerecon.core.frame import to_unit
from edgerecon.quality.filters.contrast import stretching
from edgerecon.quality.measures.full_reference import psnr
from edgerecon.quality.regions import Regions
from edgerecon.study import degraded
from edgerecon.study.comparison import Case, Method, beats, compare, figures, picture, tuned, unchanged
from edgerecon.study.context import Arrays, Context
from edgerecon.study.profile import Profile
from edgerecon.study.real_frames import real_frames
from edgerecon.study.results import MSE, PSNR, Result
from edgerecon.study.systems import enhancement, inpainting
from edgerecon.workshop.models.inpainting import Inpainting
from edgerecon.workshop.models.patch_discriminator import PatchDiscriminator
from edgerecon.workshop.train.steps import Adversarial


@pytest.fixture
def scenes(rng: np.random.Generator) -> Arrays:
    clean = rng.integers(40, 200, (5, 2, 8, 8), np.uint8).repeat(8, axis=2).repeat(8, axis=3)
    speckled = np.clip(clean + 20.0 * rng.standard_normal(clean.shape), 0, 255).astype(np.uint8)
    return {"speckled": speckled, "clean": clean}


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (degraded.noisy, "clean"),
        (degraded.with_artefacts, "speckled"),
        (degraded.pale, "speckled"),
        (degraded.faint_and_noisy, "clean"),
        (degraded.with_holes, "speckled"),
    ],
)
def test_batches_are_degraded_crops_of_pairs(scenes: Arrays, make: degraded.Degrade, wanted: str) -> None:
    draw = degraded.crops(scenes, make, 64, 8)
    source, target = draw(np.random.default_rng(3))
    again = draw(np.random.default_rng(3))
    assert source.shape == target.shape == (8, 1, 64, 64) and source.dtype == target.dtype == torch.float32
    assert torch.equal(source, again[0]) and torch.equal(target, again[1])
    assert 0 <= source.min() and source.max() <= 1 and not torch.equal(source, target)
    frames = to_unit(scenes[wanted].reshape(-1, 64)).reshape(-1, 64, 64)
    if make is degraded.with_holes:
        frames = np.maximum(frames, np.float32(1 / 255))
    if make is degraded.faint_and_noisy:
        frames = np.stack([stretching(frame, degraded.WHOLE) for frame in frames])
    known = [frames, frames[..., ::-1]]
    assert all(any((target[n, 0].numpy() == some).all(axis=(1, 2)).any() for some in known) for n in range(8))


def test_crops_cut_input_and_target_alike(scenes: Arrays) -> None:
    draw = degraded.crops(scenes, lambda speckled, clean, rng: (speckled, speckled), 20, 6)
    source, target = draw(np.random.default_rng(0))
    assert source.shape == (6, 1, 20, 20) and torch.equal(source, target)


def test_preprocessing_resizes_both_alike(scenes: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    same = {name: scenes["clean"] for name in scenes}
    monkeypatch.setattr(enhancement, "faint_and_noisy", lambda speckled, clean, rng: (speckled, clean))
    source, target = enhancement.preprocessed(same, 32, 4)(np.random.default_rng(0))
    assert source.shape == (4, 1, 32, 32) and torch.equal(source, target)


def test_every_case_is_the_first_frame_of_a_scene(scenes: Arrays) -> None:
    found = degraded.cases(scenes, degraded.noisy, np.random.default_rng(0))
    assert len(found) == 5
    for scene, case in enumerate(found):
        np.testing.assert_array_equal(case.target, to_unit(scenes["clean"][scene, 0]))


def _cases(rng: np.random.Generator, count: int = 6) -> list[Case]:
    regions = Regions((), (((0, 0, 12, 12), (12, 12, 24, 24)),))
    targets = rng.random((count, 32, 32), dtype=np.float32)
    noise = 0.1 * rng.standard_normal(targets.shape).astype(np.float32)
    return [Case(target + error, target, regions) for target, error in zip(targets, noise, strict=True)]


def test_figures_are_those_of_the_whole_frame_and_of_the_regions(rng: np.random.Generator) -> None:
    case = _cases(rng, 1)[0]
    found = figures(case.frame, case)
    a, b = case.frame[12:24, 12:24].astype(float), case.frame[:12, :12].astype(float)
    assert found["cnr"] == pytest.approx(abs(a.mean() - b.mean()) / math.sqrt(a.var() + b.var()))
    assert found["mse"] == pytest.approx(float(((case.frame - case.target).astype(float) ** 2).mean()), rel=1e-5)
    assert figures(0.5 * case.target + 0.2, case)["matched_psnr_db"] > 100 > found["matched_psnr_db"]
    bare = figures(case.frame, Case(case.frame, case.target, Regions((), ())))
    assert math.isnan(bare["cnr"]) and math.isnan(bare["gcnr"])


def test_methods_are_compared_scene_by_scene(rng: np.random.Generator) -> None:
    cases = _cases(rng)
    truth = {case.frame.tobytes(): case.target for case in cases}
    half = Method("half", "trained", lambda frame: (frame + truth[frame.tobytes()]) / 2)
    found = compare("T", "data", cases, [unchanged(), half, Method("worse", "classical", lambda frame: frame + 0.2)])
    assert [row.method for row in found.table.rows] == ["input", "half", "worse"]
    assert found.table.mean("half", "mse") == pytest.approx(found.table.mean("input", "mse") / 4, rel=1e-4)
    assert beats(found, "half", ["worse", "input"], PSNR, "c").holds is True
    assert beats(found, "half", ["worse", "input"], MSE, "c").holds is True
    assert beats(found, "worse", ["input"], PSNR, "c").holds is False
    assert beats(found, "input", ["input"], PSNR, "c").holds is False, "less than LEAST_DB is no gain"
    assert beats(found, "input", ["input"], MSE, "c").holds is None
    claim = beats(found, "half", ["worse", "input"], PSNR, "c")
    assert "half minus input" in claim.evidence and "+6.02" in claim.evidence
    shown = picture(found, cases, 1, "P")
    assert [label for label, _ in shown.panels] == ["input", "half", "worse", "target"]
    assert all(0 <= panel.min() and panel.max() <= 1 for _, panel in shown.panels)


def test_a_tuned_method_says_its_strength(rng: np.random.Generator) -> None:
    cases = _cases(rng, 2)
    method = tuned("median", [(case.frame, case.target) for case in cases], psnr)
    assert method.kind == "classical" and "size 3" in method.note
    assert "no strength" in tuned("histogram equalisation", [(cases[0].frame, cases[0].target)], psnr).note


def test_filling_and_the_loss_concern_holes_alone(rng: np.random.Generator) -> None:
    target = np.full((32, 32), 0.5, np.float32)
    frame = target.copy()
    frame[:, 10:14] = 0
    for how in inpainting.METHODS.values():
        filled = inpainting.fill(frame, how)
        assert filled.dtype == np.float32
        np.testing.assert_array_equal(filled[frame > 0], frame[frame > 0])
        np.testing.assert_allclose(filled[frame == 0], 0.5, atol=5 / 255)
    x, t = (torch.from_numpy(image)[None, None] for image in (frame, target))
    assert float(inpainting.content(t + 0.1, x, t)) == pytest.approx(0.1, rel=1e-5)
    assert float(inpainting.content(t + 0.1 * (x > 0), x, t)) == 0
    assert float(inpainting.content(t, t, t)) == 0, "no hole, no loss"
    case = Case(frame, target, Regions((), ()))
    assert inpainting.measure(target + np.float32(0.1) * (frame == 0), case)["hole_psnr_db"] == pytest.approx(
        20, abs=0.01
    )
    noisy = Case(frame, rng.random((32, 32), dtype=np.float32), Regions((), ()))
    assert inpainting.measure(noisy.target, noisy)["texture"] == pytest.approx(1)
    assert inpainting.measure(frame, noisy)["texture"] < 1


def test_the_adversary_sees_where_holes_were_and_both_learn(scenes: Arrays) -> None:
    torch.manual_seed(0)
    step = Adversarial(
        Inpainting(4), PatchDiscriminator(2, 4), inpainting.content, weight=0.02, judged=inpainting.with_mask
    )
    draw, rng = degraded.crops(scenes, degraded.with_holes, 32, 4), np.random.default_rng(0)
    losses = [step.learn(draw(rng), 3e-3) for _ in range(25)]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    source, target = draw(rng)
    seen = inpainting.with_mask(target, source, target)
    assert torch.equal(seen[:, :1], target) and torch.equal(seen[:, 1:], (source == 0).float())


def test_real_recordings_have_a_table_of_their_own(tmp_path: Path, rng: np.random.Generator) -> None:
    import cv2

    frame = cv2.GaussianBlur(rng.random((160, 300)).astype(np.float32), (0, 0), 1.5)
    frame = np.clip((frame - 0.5) * 2 + 0.4, 0, 1)
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), (255 * frame).astype(np.uint8))
    result = Result("restoration", "", "")
    smooth = Method("blur", "classical", lambda image: cv2.GaussianBlur(image, (0, 0), 2.0))
    real_frames(Context(Profile("quick"), tmp_path, result, tmp_path), [unchanged(), smooth])
    (table,) = result.tables
    assert table.mean("input", "edge") == pytest.approx(1) and table.mean("input", "snr_gain_db") == pytest.approx(0)
    assert table.mean("blur", "snr_gain_db") > 1.5 and table.mean("blur", "edge") < 1
    assert "2 real recordings" in table.data

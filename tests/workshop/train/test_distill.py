from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
import torch

from edgerecon.core.errors import DataError, EdgereconError, UsageError
from edgerecon.workshop.compress import pruned as pruned_module
from edgerecon.workshop.compress.prune import PruneStep, channels_of
from edgerecon.workshop.compress.pruned import prune_recipe
from edgerecon.workshop.data.augment import Augment
from edgerecon.workshop.data.datasets import CropSampler, load_pairs
from edgerecon.workshop.recipe import Recipe
from edgerecon.workshop.recipe_tables import AugmentTable, LossTable
from edgerecon.workshop.train.checkpoint import load_checkpoint, load_model, new_model, save_checkpoint
from edgerecon.workshop.train.distill import DistillationLoss, fine_tune
from edgerecon.workshop.train.loop import Progress
from edgerecon.workshop.train.losses import ReconstructionLoss


@pytest.fixture(scope="module")
def pairs_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Smooth scenes and the same under noise."""
    rng = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("pairs") / "pairs.h5"
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "edgerecon-pairs/1"
        for index in range(8):
            clean = cv2.GaussianBlur(rng.random((48, 48)), (0, 0), 5)
            clean = (clean - clean.min()) / np.ptp(clean)
            group = file.create_group(f"sample_{index:05d}")
            group["clean"] = np.uint8(255 * clean)
            group["pw31"] = np.uint8(255 * np.clip(clean + 0.2 * rng.standard_normal(clean.shape), 0, 1))
    return path


def _recipe(pairs_file: Path, family: str = "compact", **prune: Any) -> Recipe:
    depth = 3 if family == "compact" else 2
    return Recipe.model_validate(
        {
            "model": {"name": "tiny", "task": "despeckle", "family": family, "width": 8, "depth": depth},
            "data": {"simulate": "-", "file": pairs_file, "inputs": ["pw31"], "target": "clean", "validation": 0.25},
            "train": {"steps": 10, "batch": 4, "crop": 32, "warmup": 3, "learning_rate": 5e-3, "ema": 0.9},
            "prune": {"ratio": 0.5, "iterations": 2, "steps": 6} | prune,
        }
    )


def _sampler(pairs_file: Path, seed: int = 1) -> CropSampler:
    pairs = load_pairs(pairs_file, ["pw31", "clean"])
    return CropSampler(pairs, ["pw31"], "clean", Augment(AugmentTable(), 32), 4, np.random.default_rng(seed))


def _weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([value.flatten() for value in model.state_dict().values()])


def _model(recipe: Recipe) -> Any:
    torch.manual_seed(2)
    return new_model(recipe)


@torch.no_grad()
def _distance(one: torch.nn.Module, other: torch.nn.Module, x: torch.Tensor) -> float:
    return float((one(x) - other(x)).abs().mean())


def test_the_loss_is_the_formula() -> None:
    torch.manual_seed(0)
    output, target, source, teacher = torch.rand(4, 3, 1, 32, 32).double()
    weights = LossTable(l1=0.3, ssim=0.5, edge=0.8)
    found = DistillationLoss(weights, 0.25)(output, target, source, teacher)
    error = [float((source[i] - target[i]).abs().mean()) for i in range(3)]
    imitation = np.mean([float((output[i] - teacher[i]).abs().mean()) / error[i] for i in range(3)])
    task = float(ReconstructionLoss(weights)(output, target, source))
    assert float(found) == pytest.approx(0.75 * task + 0.25 * 0.3 * imitation, rel=1e-6)
    for alpha, expected in ((0.0, task), (1.0, 0.3 * imitation)):
        assert float(DistillationLoss(weights, alpha)(output, target, source, teacher)) == pytest.approx(expected)
    without = DistillationLoss(LossTable(l1=0, ssim=1), 1.0)(output, target, source, teacher)
    assert float(without) == pytest.approx(imitation)  # the teacher counts even where the task has no such term


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_a_share_out_of_range(alpha: float) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        DistillationLoss(LossTable(), alpha)


def test_a_student_learns_what_the_teacher_does(pairs_file: Path) -> None:
    """With the teacher alone in the loss, another network comes closer to it; the teacher stays as it is."""
    recipe = _recipe(pairs_file)
    teacher, student = _model(recipe), _model(recipe)
    torch.nn.init.normal_(teacher.layers[-1].weight, std=0.1)
    kept = _weights(teacher)
    x = torch.from_numpy(_sampler(pairs_file, 9).draw()[0])
    before = _distance(student, teacher, x)
    seen: list[Progress] = []
    fine_tune(recipe, student, teacher, _sampler(pairs_file), steps=40, alpha=1.0, on_step=seen.append)
    assert _distance(student, teacher, x) < 0.5 * before
    assert torch.equal(_weights(teacher), kept) and not student.training
    assert [progress.step for progress in seen] == list(range(1, 41))
    assert seen[0].steps == 40 and seen[-1].images_per_second > 0
    assert np.mean([p.loss for p in seen[-5:]]) < np.mean([p.loss for p in seen[:5]])


def test_the_same_seed_gives_the_same_weights(pairs_file: Path) -> None:
    recipe = _recipe(pairs_file)

    def run(seed: int, alpha: float) -> torch.Tensor:
        teacher, student = _model(recipe), _model(recipe)
        torch.nn.init.constant_(teacher.layers[-1].bias, 0.2)
        fine_tune(recipe, student, teacher, _sampler(pairs_file, seed), steps=4, alpha=alpha)
        return _weights(student)

    first = run(1, 0.5)
    assert torch.equal(first, run(1, 0.5))
    assert not torch.equal(first, run(2, 0.5)) and not torch.equal(first, run(1, 0.1))


def test_an_interruption_leaves_a_whole_network(pairs_file: Path) -> None:
    recipe = _recipe(pairs_file)
    teacher, student = _model(recipe), _model(recipe)

    def stop(progress: Progress) -> None:
        if progress.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune(recipe, student, teacher, _sampler(pairs_file), steps=5, alpha=0.5, on_step=stop)
    assert torch.isfinite(_weights(student)).all() and not torch.equal(_weights(student), _weights(teacher))


def test_divergence_and_no_steps(pairs_file: Path) -> None:
    recipe = _recipe(pairs_file)
    student, teacher = _model(recipe), _model(recipe)
    with torch.no_grad():
        student.layers[-1].bias.fill_(torch.nan)
    with pytest.raises(EdgereconError, match="diverged at step 0"):
        fine_tune(recipe, student, teacher, _sampler(pairs_file), steps=5, alpha=0.5)
    with pytest.raises(UsageError, match="at least one step"):
        fine_tune(recipe, teacher, teacher, _sampler(pairs_file), steps=0, alpha=0.5)


@pytest.fixture
def checkpoint(pairs_file: Path, tmp_path: Path) -> Path:
    model = _model(_recipe(pairs_file, "unet"))
    torch.nn.init.normal_(model.last.weight, std=0.02)
    save_checkpoint(tmp_path / "best.pt", {"model": model.state_dict(), "step": 7, "psnr_db": 20.0, "ssim": 0.5})
    return tmp_path / "best.pt"


@pytest.mark.parametrize("importance", ["taylor", "magnitude"])
def test_a_recipe_is_pruned(pairs_file: Path, checkpoint: Path, importance: str) -> None:
    recipe = _recipe(pairs_file, "unet", importance=importance)
    whole = load_model(recipe, checkpoint)
    steps: list[PruneStep] = []
    ticks: list[Progress] = []
    out = checkpoint.parent / "new" / "pruned.pt"
    report = prune_recipe(recipe, checkpoint, out, on_prune=steps.append, on_step=ticks.append)
    assert tuple(steps) == report.steps[1:] and len(steps) == 2
    assert [(tick.step, tick.steps) for tick in ticks] == [(n, 6) for n in range(1, 7)]
    model, state = load_model(recipe, out), load_checkpoint(out)
    assert model.macs_per_pixel() <= 0.5 * whole.macs_per_pixel()
    assert state["channels"] == list(channels_of(model)) != list(channels_of(whole))
    assert state["step"] == 7 and state["pruning"]["steps"][-1]["macs_left"] == steps[-1].macs_left
    assert state["psnr_db"] > 10 and 0 < state["ssim"] < 1 and state["psnr_db"] != 20.0
    again = checkpoint.parent / "again.pt"
    prune_recipe(recipe, checkpoint, again)
    assert torch.equal(_weights(load_model(recipe, again)), _weights(model))


def test_nothing_is_written_when_pruning_fails(
    pairs_file: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = checkpoint.parent / "pruned.pt"
    out.write_bytes(b"the one before")

    def diverge(*_: Any, **__: Any) -> None:
        raise EdgereconError("fine-tuning diverged")

    monkeypatch.setattr(pruned_module, "fine_tune", diverge)
    with pytest.raises(EdgereconError, match="diverged"):
        prune_recipe(_recipe(pairs_file, "unet"), checkpoint, out)
    assert out.read_bytes() == b"the one before" and sorted(checkpoint.parent.iterdir()) == [checkpoint, out]


def test_foreign_and_unwritable_files(pairs_file: Path, checkpoint: Path) -> None:
    recipe = _recipe(pairs_file, "unet", steps=2, iterations=1)
    with pytest.raises(DataError, match="another network"):
        prune_recipe(_recipe(pairs_file, "compact"), checkpoint, checkpoint.parent / "pruned.pt")
    with pytest.raises(EdgereconError, match="cannot write"):
        prune_recipe(recipe, checkpoint, checkpoint / "pruned.pt")
    state = load_checkpoint(checkpoint)
    save_checkpoint(checkpoint, state | {"channels": [4] * 14})
    with pytest.raises(DataError, match="another network"):
        load_model(recipe, checkpoint)
    assert channels_of(new_model(recipe, [4] * 14)) == (4,) * 14

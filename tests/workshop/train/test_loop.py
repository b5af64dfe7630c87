from __future__ import annotations

import _thread
import csv
import os
import pickle
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
import torch

from edgerecon.core.errors import DataError, EdgereconError, RecipeError
from edgerecon.workshop.recipe import Recipe
from edgerecon.workshop.train import loop
from edgerecon.workshop.train.checkpoint import load_checkpoint, load_model
from edgerecon.workshop.train.loop import Progress, schedule, train


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Smooth scenes and the same under noise, which a few dozen steps learn to reduce."""
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


@pytest.fixture
def recipe(pairs: Path) -> Callable[..., Recipe]:
    def make(**changes: Any) -> Recipe:
        table = {"steps": 12, "batch": 4, "crop": 32, "warmup": 3, "validate_every": 4, "learning_rate": 5e-3} | changes
        return Recipe.model_validate(
            {
                "model": {"name": "tiny", "task": "despeckle", "width": 8, "depth": 3},
                "data": {"simulate": "-", "file": pairs, "inputs": ["pw31"], "target": "clean", "validation": 0.25},
                "augment": {"zoom": (0.7, 1.5), "gain": (0.9, 1.1), "blur": 1.0, "blur_chance": 0.3},
                "train": table,
            }
        )

    return make


def _weights(path: Path) -> torch.Tensor:
    return torch.cat([value.flatten() for value in load_checkpoint(path)["model"].values()])


def test_it_learns(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    seen: list[Progress] = []
    best = train(recipe(steps=60, validate_every=20), run_dir=tmp_path / "run", on_step=seen.append)
    assert best == tmp_path / "run" / "best.pt"
    with (tmp_path / "run" / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["20", "40", "60"]
    assert float(rows[-1]["psnr_db"]) > float(rows[0]["psnr_db"]) > 14
    assert load_checkpoint(best)["psnr_db"] == max(float(row["psnr_db"]) for row in rows)
    assert (tmp_path / "run" / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert [progress.step for progress in seen] == list(range(1, 61))
    assert seen[-1].images_per_second > 0 and np.isfinite(seen[-1].psnr_db)
    assert not list((tmp_path / "run").glob("*.partial"))
    assert load_model(recipe(), best)(torch.rand(1, 1, 9, 7)).shape == (1, 1, 9, 7)


def test_the_same_seed_gives_the_same_weights(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    first = _weights(train(recipe(), run_dir=tmp_path / "a"))
    assert torch.equal(first, _weights(train(recipe(), run_dir=tmp_path / "b")))
    assert not torch.equal(first, _weights(train(recipe(seed=2), run_dir=tmp_path / "c")))


@pytest.mark.parametrize("stop_at", [4, 6])
def test_resuming_after_ctrl_c_changes_nothing(recipe: Callable[..., Recipe], tmp_path: Path, stop_at: int) -> None:
    train(recipe(), run_dir=tmp_path / "whole")

    def press(progress: Progress) -> None:
        if progress.step == stop_at:
            _thread.interrupt_main()

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(recipe(), run_dir=tmp_path / "cut", on_step=press)
    assert signal.getsignal(signal.SIGINT) is before
    assert load_checkpoint(tmp_path / "cut" / "last.pt")["step"] == stop_at
    train(recipe(), run_dir=tmp_path / "cut", resume=True)
    for name in ("best.pt", "last.pt"):
        assert torch.equal(_weights(tmp_path / "whole" / name), _weights(tmp_path / "cut" / name))
    steps = [
        [(row["step"], row["psnr_db"]) for row in csv.DictReader((tmp_path / run / "curve.csv").open())]
        for run in ("whole", "cut")
    ]
    assert steps[0] == steps[1]


def test_a_finished_run_can_be_resumed(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    train(recipe(), run_dir=tmp_path)
    before = (tmp_path / "best.pt").read_bytes()
    assert train(recipe(), run_dir=tmp_path, resume=True) == tmp_path / "best.pt"
    assert (tmp_path / "best.pt").read_bytes() == before


def test_divergence_stops_and_keeps_the_last_good(
    recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = loop.CropSampler.draw
    calls = iter(range(1000))

    def poisoned(sampler: loop.CropSampler) -> Any:
        source, target = draw(sampler)
        return (source * np.nan if next(calls) == 6 else source), target

    monkeypatch.setattr(loop.CropSampler, "draw", poisoned)
    with pytest.raises(EdgereconError, match=r"diverged at step 6 .*learning_rate; .*last\.pt") as caught:
        train(recipe(), run_dir=tmp_path)
    assert "\n" not in str(caught.value)
    assert load_checkpoint(tmp_path / "last.pt")["step"] == 4
    assert torch.isfinite(_weights(tmp_path / "best.pt")).all()


def test_mixed_precision_and_its_limits(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    best = train(recipe(precision="bf16-mixed", steps=4), run_dir=tmp_path / "bf16", accelerator="cpu")
    assert _weights(best).dtype == torch.float32
    with pytest.raises(RecipeError, match="16-mixed needs a GPU"):
        train(recipe(precision="16-mixed"), run_dir=tmp_path / "fp16", accelerator="cpu")


def test_an_accelerator_that_is_absent(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(EdgereconError, match="cannot train on 'cuda'"):
        train(recipe(), run_dir=tmp_path, accelerator="cuda")


def test_the_schedule(recipe: Callable[..., Recipe]) -> None:
    table = recipe(steps=110, warmup=10, final_fraction=0.1).train
    rates = [schedule(step, table) for step in range(111)]
    assert rates[0] == pytest.approx(0.1) and rates[10] == 1 and max(rates) == 1
    assert rates[60] == pytest.approx(0.55) and rates[110] == pytest.approx(0.1)
    assert all(a >= b for a, b in zip(rates[10:], rates[11:], strict=False))


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("evil",)


def test_checkpoints_that_are_not_ours(
    recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.pt").touch()
    (tmp_path / "text.pt").write_text("no checkpoint")
    torch.save({"model": _Evil()}, tmp_path / "evil.pt")
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps(_Evil()))
    torch.save({"model": {"layers.0.weight": torch.zeros(3)}}, tmp_path / "other.pt")
    torch.save([1], tmp_path / "list.pt")
    whole = train(recipe(steps=1), run_dir=tmp_path / "run").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    for name in ("absent", "empty", "text", "evil", "pickle", "other", "list", "cut"):
        with pytest.raises(DataError, match=name) as caught:
            load_model(recipe(), tmp_path / f"{name}.pt")
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "evil").exists()
    (tmp_path / "run" / "last.pt").write_bytes(whole)  # a best.pt has no optimiser
    with pytest.raises(DataError, match="without --resume"):
        train(recipe(), run_dir=tmp_path / "run", resume=True)


def test_an_unwritable_run_folder(recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EdgereconError, match="cannot write to"):
        train(recipe(), run_dir=tmp_path / "file" / "run")

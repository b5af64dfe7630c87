"""Two processes under torchrun (gloo) against one with the same batch: the same losses, weights and files."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch

from edgerecon.core.errors import EdgereconError, RecipeError
from edgerecon.workshop.recipe import load_recipe
from edgerecon.workshop.train import processes
from edgerecon.workshop.train.checkpoint import load_checkpoint, save_checkpoint
from edgerecon.workshop.train.loop import train

RECIPE = """
[model]
name = "tiny"
task = "despeckle"
width = 8
depth = 3
[data]
simulate = "-"
file = "{file}"
inputs = ["pw31"]
target = "clean"
validation = 0.25
[augment]
share = 0.5
zoom = [0.7, 1.5]
[train]
steps = {steps}
batch = 4
crop = 32
warmup = 3
validate_every = 4
learning_rate = 5e-3
[train.loss]
edge = 0.3
"""


def _write(folder: Path, steps: int = 8) -> Path:
    """A recipe whose loss has a term that is pooled over part of the batch, and its data."""
    rng = np.random.default_rng(1)
    with h5py.File(folder / "pairs.h5", "w") as file:
        file.attrs["format"] = "edgerecon-pairs/1"
        for index in range(8):
            clean = cv2.GaussianBlur(rng.random((48, 48)), (0, 0), 5)
            clean = (clean - clean.min()) / np.ptp(clean)
            group = file.create_group(f"sample_{index:05d}")
            group["clean"] = np.uint8(255 * clean)
            group["pw31"] = np.uint8(255 * np.clip(clean + 0.2 * rng.standard_normal(clean.shape), 0, 1))
    path = folder / "tiny.toml"
    path.write_text(RECIPE.format(file=folder / "pairs.h5", steps=steps))
    return path


TWICE = """
import gc, os, signal, sys
from pathlib import Path
from torch.nn.parallel import DistributedDataParallel
from edgerecon.cli import main as cli
from edgerecon.workshop.recipe import load_recipe
from edgerecon.workshop.train.loop import train

def press(progress):
    assert os.environ["RANK"] == "0", "the first process alone shows progress"
    if progress.step == 6:
        os.kill(os.getpid(), signal.SIGINT)

recipe, run = Path(sys.argv[1]), Path(sys.argv[2])
try:
    train(load_recipe(recipe), run_dir=run, on_step=press)
except KeyboardInterrupt:
    assert (run / "last.pt").exists()
    left = [one for one in gc.get_objects() if isinstance(one, DistributedDataParallel)]
    assert not left, "it would wait for a thread of the process group that may wait for it"
    sys.argv = ["edgerecon", "train", str(recipe), "--run-dir", str(run), "--resume"]
    cli.main()
"""
"""Ctrl-C reaches one of the processes at step 6; both stop, and go on as ``python -m edgerecon`` does."""


def _torchrun(recipe: Path, run: Path) -> subprocess.Popen[str]:
    script = recipe.with_name("twice.py")
    script.write_text(TWICE)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--standalone",
        str(script),
        str(recipe),
        str(run),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _weights(path: Path) -> torch.Tensor:
    return torch.cat([value.flatten() for value in load_checkpoint(path)["model"].values()])


def _curve(run: Path) -> np.ndarray:
    with (run / "curve.csv").open() as file:
        return np.array([[float(row[key]) for key in ("step", "loss", "psnr_db")] for row in csv.DictReader(file)])


def test_two_interrupted_processes_give_what_one_gives(tmp_path: Path) -> None:
    recipe = _write(tmp_path)
    two = _torchrun(recipe, tmp_path / "two")
    train(load_recipe(recipe), run_dir=tmp_path / "one", accelerator="cpu")
    out, errors = two.communicate(timeout=600)
    assert two.returncode == 0, errors
    assert out.count("Best checkpoint") == 1, "the first process alone speaks"
    found, expected = _curve(tmp_path / "two"), _curve(tmp_path / "one")
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    np.testing.assert_allclose(found[1, [0, 2]], expected[1, [0, 2]], rtol=1e-5)  # its loss is the mean since resuming
    for name in ("best.pt", "last.pt"):
        torch.testing.assert_close(
            _weights(tmp_path / "two" / name), _weights(tmp_path / "one" / name), rtol=1e-4, atol=1e-5
        )
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == [
        "best.pt",
        "curve.csv",
        "curve.png",
        "last.pt",
    ]


def test_a_batch_that_does_not_divide(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in (("TORCHELASTIC_RUN_ID", "x"), ("WORLD_SIZE", "3"), ("RANK", "1")):
        monkeypatch.setenv(key, value)
    assert processes.part(6) == slice(2, 4)
    with pytest.raises(RecipeError, match="4 crops do not divide among 3 processes"):
        processes.part(4)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    assert processes.part(4) == slice(0, 4) and processes.rank() == 0


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (RuntimeError("CUDA error: unspecified launch failure\nmore"), "the GPU failed .*launch failure.*--resume"),
        (torch.cuda.OutOfMemoryError("CUDA out of memory"), "lower train.batch"),
        (RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer"), "another process .*--resume"),
    ],
)
def test_failures_of_hardware(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception, says: str) -> None:
    from edgerecon.workshop.train import loop

    recipe, calls = load_recipe(_write(tmp_path)), iter(range(100))
    forward = loop.ReconstructionLoss.forward

    def fails(*args: torch.Tensor) -> torch.Tensor:
        if next(calls) == 5:
            raise failure
        return forward(*args)

    monkeypatch.setattr(loop.ReconstructionLoss, "forward", fails)
    with pytest.raises(EdgereconError, match=says) as caught:
        train(recipe, run_dir=tmp_path / "run", accelerator="cpu")
    assert "\n" not in str(caught.value)
    assert load_checkpoint(tmp_path / "run" / "last.pt")["step"] == 4
    monkeypatch.undo()
    train(recipe, run_dir=tmp_path / "run", resume=True, accelerator="cpu")
    assert load_checkpoint(tmp_path / "run" / "last.pt")["step"] == 8


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe(_write(tmp_path))
    save = torch.save

    def full(state: dict[str, object], path: Path) -> None:
        if state["step"] == 8:
            path.write_bytes(b"some")
            raise RuntimeError("[enforce fail at inline_container.cc:858] . PytorchStreamWriter failed writing file")
        save(state, path)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(EdgereconError, match="cannot write to .*disk full.*--resume"):
        train(recipe, run_dir=tmp_path / "run", accelerator="cpu")
    monkeypatch.undo()
    assert load_checkpoint(tmp_path / "run" / "last.pt")["step"] == 4
    assert not list((tmp_path / "run").glob("*.partial"))
    if Path("/dev/full").exists():
        (tmp_path / "x.pt.partial").symlink_to("/dev/full")
        with pytest.raises(OSError, match="full|space"):
            save_checkpoint(tmp_path / "x.pt", {"step": torch.zeros(1 << 16)})

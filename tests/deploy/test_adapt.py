"""A model adapted to a scanner ships where it is better, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from edgerecon.cli.main import app
from edgerecon.core.errors import GateError, UsageError
from edgerecon.deploy import adapt as adapt_module
from edgerecon.deploy.adapt import Verdict, adapt
from edgerecon.modelfile.catalogue import model_path
from edgerecon.workshop.adapt import tune as tune_module
from edgerecon.workshop.adapt.tune import DISPLAYS, START
from edgerecon.workshop.recipe import Recipe
from tests.workshop.adapt.test_adapt_material import recorded, speckle

MODEL = "compact-despeckle-w8d4"
BETTER = Verdict((30.0, 30.5), {"structure": (0.9, 0.95)}, ())
WORSE = Verdict((30.0, 29.0), {"structure": (0.9, 0.7)}, ("29.00 dB on displays like these, 30.00 before",))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's folder in which displays lie already: Rayleigh speckle and its mean."""
    (tmp_path / "run").mkdir()
    with h5py.File(tmp_path / "run" / DISPLAYS, "w") as file:
        file.attrs["format"] = "edgerecon-pairs/1"
        for index in range(40):
            group = file.create_group(f"sample_{index:05d}")
            group["shown"] = speckle(index, side=128, level=40 + index)
            group["expected"] = np.full((128, 128), 40 + index, np.uint8)
    return tmp_path / "run"


@pytest.fixture
def recordings(tmp_path: Path) -> list[str]:
    return [recorded(tmp_path / "a.npz", [speckle(step, side=160) for step in range(4)])]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Checkpoints that were to become files; exporting them takes torch half a minute, and is tested elsewhere."""
    checkpoints: list[Path] = []

    def write_onnx(recipe: Recipe, checkpoint: Path, out: Path) -> None:
        checkpoints.append(checkpoint)
        out.write_bytes(model_path(MODEL).read_bytes())

    monkeypatch.setattr(adapt_module, "write_onnx", write_onnx)
    return checkpoints


def test_the_better_model_is_written(
    folder: Path, recordings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: list[Path]
) -> None:
    monkeypatch.setattr(adapt_module, "compare_with_shipped", lambda *rest: BETTER)
    monkeypatch.setattr(tune_module, "_steps", lambda *rest: 2)
    out, told = tmp_path / "mine.onnx", list[str]()
    verdict = adapt(
        recordings, MODEL, out, folder, minutes=0.001, displays=0, on_progress=lambda what, *rest: told.append(what)
    )
    assert verdict is BETTER and out.read_bytes() == model_path(MODEL).read_bytes()
    assert "Learning from them" in told
    start, end = (torch.load(one, weights_only=True)["model"] for one in (folder / START, written[0]))
    moved = [float((end[name] - start[name]).abs().mean()) for name in start]
    assert 0 < max(moved) < 0.05, "it goes on from the shipped weights"


def test_the_worse_model_is_not(
    folder: Path, recordings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: list[Path]
) -> None:
    monkeypatch.setattr(adapt_module, "compare_with_shipped", lambda *rest: WORSE)
    monkeypatch.setattr(adapt_module, "tune", lambda *rest: folder / START)
    with pytest.raises(GateError, match="nothing shipped: 29.00 dB .* stays the better one here"):
        adapt(recordings, MODEL, tmp_path / "mine.onnx", folder, minutes=0.001, displays=0)
    assert not (tmp_path / "mine.onnx").exists()


@pytest.mark.parametrize(
    ("key", "before", "after", "worse"),
    [
        ("structure", 0.9, 0.8, True),
        ("structure", 0.9, 0.95, False),
        ("structure", 1.0, 1.2, True),
        ("speckle_left", 0.3, 0.4, True),
        ("brightness_moved", 0.5, 0.6, False),
        ("spill", float("nan"), float("nan"), False),
    ],
)
def test_a_measure_that_gets_worse_speaks_against_it(key: str, before: float, after: float, worse: bool) -> None:
    assert bool(adapt_module._worse(key, before, after)) is worse


def test_a_model_that_displays_do_not_teach_is_one_line(recordings: list[str], tmp_path: Path) -> None:
    for model in ("compact-despeckle-int8", "mine", "compact-beamform", "compact-compound"):
        with pytest.raises(UsageError, match=f"'{model}' cannot be adapted: give one of compact-despeckle,"):
            adapt(recordings, model, tmp_path / "mine.onnx", tmp_path / "run")


def test_ctrl_c_says_how_to_go_on(recordings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*rest: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(adapt_module, "adapt", interrupted)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["adapt", *recordings])
    assert done.exit_code == 130 and "--resume" in done.output
    assert "edgerecon-runs/compact-despeckle-adapted" in done.output.replace("\n", "")

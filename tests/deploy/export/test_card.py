from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgerecon.core.errors import DataError
from edgerecon.deploy.export.card import _loss, figures_of, model_card
from edgerecon.quality.evaluate.evaluation import Evaluation, MethodResult
from edgerecon.workshop.recipe import Recipe, load_recipe
from edgerecon.workshop.recipe_tables import LossTable


def _interval(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": float("nan"), "high": float("nan")}


def _write(path: Path, evaluation: Evaluation) -> Path:
    path.write_text(json.dumps(evaluation.to_json()))
    return path


@pytest.mark.parametrize("place", ["/secret/place/h.h5", "../elsewhere/h.h5"])
def test_figures_on_pairs(tmp_path: Path, place: str) -> None:
    table = [
        MethodResult("input", {}, {"psnr_db": _interval(20.0), "ssim": _interval(float("nan"))}),
        MethodResult("model", {}, {"psnr_db": _interval(29.123456), "ssim": _interval(0.8)}),
    ]
    advantage = {"psnr_db": {"over": "nlm", **_interval(1.5)}}
    result = Evaluation("m", "onnxruntime", "fp32", place, "pairs", table, [], advantage=advantage)
    figures = {figure.key: figure for figure in figures_of(_write(tmp_path / "r.json", result))}
    assert {key: figure.value for key, figure in figures.items()} == {
        "psnr_db": 29.1235,
        "ssim": 0.8,
        "psnr_db_advantage": 1.5,
    }
    assert "input 20.000" in figures["psnr_db"].label and "nlm" in figures["psnr_db_advantage"].label
    assert "input" not in figures["ssim"].label
    assert figures["ssim"].command == "edgerecon evaluate m --data h.h5 --backend onnxruntime"


def test_figures_on_recordings(tmp_path: Path) -> None:
    table = [MethodResult("model", {}, {"snr_ratio": _interval(3.1), "edge": _interval(0.9)})]
    result = Evaluation(
        "m", "onnxruntime", "fp32", "cine", "recordings", table, [], tradeoff={"advantage_percent": _interval(17.0)}
    )
    figures = figures_of(_write(tmp_path / "r.json", result))
    assert [(figure.key, figure.value) for figure in figures] == [
        ("snr_ratio", 3.1),
        ("edge", 0.9),
        ("advantage_percent", 17.0),
    ]
    result.tradeoff = None
    assert len(figures_of(_write(tmp_path / "r.json", result))) == 2


def _card(data: dict[str, object]) -> str:
    table = {"file": "a.h5", "inputs": ["shown"], "target": "expected"} | data
    train = {"steps": 1, "loss": dict.fromkeys(LossTable.model_fields, 0.5)}
    recipe = Recipe.model_validate({"model": {"name": "m", "task": "despeckle"}, "data": table, "train": train})
    keys = ("parameters", "macs_per_pixel", "receptive_field", "size_kb", "max_abs_error", "opset", "trained_steps")
    return model_card(recipe, "m.toml", [], dict.fromkeys(keys, 1.0))


def test_only_simulated_data_are_called_simulated() -> None:
    own = {"file": "b.h5", "inputs": ["noisy"], "target": "clean", "weight": 0.2}
    assert "Simulated only" in _card({"simulate": "edgerecon simulate a.h5"})
    for data in ({}, {"simulate": "edgerecon simulate a.h5", "mixed": [own]}):
        card = _card(data)
        assert "Simulated only" not in card and "Trained on `a.h5`" in card
    assert "20% of the crops come from `b.h5`" in card


def test_the_card_names_every_training_file_and_every_loss() -> None:
    other = {"file": "b.h5", "inputs": ["pw31"], "target": "expected", "weight": 0.2}
    mixed = other | {"simulate": "edgerecon simulate b.h5"}
    card = _card({"simulate": "edgerecon simulate a.h5 --kind display", "mixed": [mixed]})
    assert "--kind display" in card and "20% of the crops come from `edgerecon simulate b.h5`" in card
    for term in ("0.5·L1 + 0.5·L1 (relative to the input's) + 0.5·(1 − SSIM) + 0.5·(1 − edge", "L1 up to 1.5 times"):
        assert term in card


@pytest.mark.parametrize(
    "recipe", sorted((Path(__file__).parents[3] / "export").glob("*.toml")), ids=lambda one: one.stem
)
def test_shipped_cards_state_the_loss_of_their_recipe(recipe: Path) -> None:
    assert f"loss {_loss(load_recipe(recipe).train.loss)}." in recipe.with_suffix(".md").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"data": 1}', '{"data": "a", "model": "m", "table": []}'])
def test_files_that_are_no_reports(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(DataError, match="not a report|is no JSON"):
        figures_of(tmp_path / "r.json")
    with pytest.raises(DataError, match="cannot read"):
        figures_of(tmp_path / "absent.json")

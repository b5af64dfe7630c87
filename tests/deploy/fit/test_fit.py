"""Fit: the choice is the best quality that was proven to hold, and what cannot be had is said."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerecon.core.errors import DataError, GateError, UsageError
from edgerecon.core.shipped import resource_dir
from edgerecon.deploy.fit.candidates import Candidate, find_candidates
from edgerecon.deploy.fit.fit import Fit, Requirement, TimedCandidate, _hopeful, _larger, fit, pareto
from edgerecon.deploy.fit.fit_page import fit_page, sentence


def tried(ms: float, ssim: float, streamed: float | None = None) -> TimedCandidate:
    return TimedCandidate(Candidate(Path("m.onnx"), "fp32", "onnxruntime", 1, 28.0, ssim, 0.8, 2592.0), ms, streamed)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    shutil.copy(resource_dir("export") / "compact-despeckle.onnx", tmp_path)
    shutil.copy(resource_dir("export") / "compact-compound.onnx", tmp_path)
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    return tmp_path


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 10)), min_size=1))
def test_the_front_is_all_that_nothing_beats(points: list[tuple[int, int]]) -> None:
    every = [tried(ms, ssim / 10) for ms, ssim in points]
    front = pareto(every)
    for one in every:
        beaten = any(f.ms <= one.ms and f.candidate.ssim >= one.candidate.ssim for f in front)
        assert beaten, "each is on the front or beaten by it"
    assert [f.ms for f in front] == sorted({f.ms for f in front})
    assert [f.candidate.ssim for f in front] == sorted({f.candidate.ssim for f in front})


def test_candidates_are_of_the_task_and_run_here(models: Path) -> None:
    found = find_candidates(models, "despeckle")
    assert {one.path.stem for one in found} == {"compact-despeckle"}
    assert {one.backend for one in found} >= {"onnxruntime"} and "pytorch" not in {one.backend for one in found}
    assert {1} <= {one.threads for one in found} and all(0 < one.ssim < 1 for one in found)
    with pytest.raises(DataError, match="no model for the task 'upscale'"):
        find_candidates(models, "upscale")


def test_the_same_network_under_two_names_counts_once(models: Path) -> None:
    once = find_candidates(models, "despeckle")
    path = models / "compact-despeckle.onnx"
    shutil.copy(path, models / "a-copy.onnx")
    assert [replace(one, path=path) for one in find_candidates(models, "despeckle")] == once


def test_the_choice_was_streamed_and_holds(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgerecon.deploy.fit.proof.PERIOD_S", 0.25)  # a busy machine drops frames at 30 a second
    monkeypatch.setattr("edgerecon.deploy.fit.proof._Cine.period_s", 0.25)
    told: list[str] = []
    found = fit(
        Requirement(1000.0),
        models=models,
        shape=(96, 128),
        seconds=0.7,
        on_progress=lambda what, done, total: told.append(what),
    )
    assert found.chosen is not None and found.chosen in found.tried
    assert found.chosen.streamed_p99_ms is not None and 0 < found.chosen.streamed_p99_ms <= 1000
    plain = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert plain["predicted_p99_ms"] == plain["chosen"]["streamed_p99_ms"] and plain["host"]["cpu"]
    assert "predicted p99" in sentence(found) and {"timing side by side", "streaming"} <= set(told)
    page = fit_page(found)
    assert page.count("<circle") == len(found.tried) and "Pareto front" in page and "polyline" in page


def test_an_untrained_shape_names_the_command_that_trains_it(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for suffix in (".onnx", ".toml"):
        shutil.copy(resource_dir("export") / f"compact-despeckle-small{suffix}", models)
    monkeypatch.setattr("edgerecon.deploy.fit.fit.stream_p99", lambda candidate, *_: 5.0)
    monkeypatch.setattr("edgerecon.deploy.fit.untrained.WIDTHS", (8, 24))
    monkeypatch.setattr("edgerecon.deploy.fit.untrained.DEPTHS", (4, 6))
    found = fit(Requirement(1000.0, min_ssim=0.5), models=models, shape=(64, 64), seconds=0.5)
    assert found.chosen and not found.chosen.candidate.train, "only what is trained is chosen"
    assert {one.candidate.path.stem for one in found.untrained} == {
        f"compact-despeckle-small-w{width}d{depth}" for width, depth in ((8, 4), (24, 4), (24, 6))
    }
    assert (
        found.larger
        and found.larger.candidate.path.stem == "compact-despeckle-small-w24d6"
        and found.larger in found.untrained
    )
    assert found.larger.streamed_p99_ms == 5.0
    said = sentence(found)
    assert "Not trained yet, compact-despeckle-small-w24d6" in said
    assert said.endswith("compact-despeckle-small.toml --width 24 --depth 6")
    page, plain = fit_page(found), json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert page.count("not trained") == len(found.untrained) == len(plain["untrained"]) == 3
    assert page.count("<circle") == len(found.tried), "what has no quality is not in the plot"
    assert plain["larger"]["train"] == found.larger.candidate.train and plain["larger"]["ssim"] is None


def test_a_larger_model_has_more_arithmetic_and_likely_fits() -> None:
    def shape(ms: float, macs: float) -> TimedCandidate:
        return TimedCandidate(
            Candidate(Path("s.onnx"), "fp32", "onnxruntime", 1, math.nan, math.nan, math.nan, macs, "x"), ms
        )

    shapes = [shape(1, 1000), shape(4, 3000), shape(6, 5000), shape(9, 9000)]
    chosen = tried(3.0, 0.8, streamed=4.5)  # 2592 multiply-accumulates, streamed 1.5 times as slow
    assert _larger(shapes, chosen, 10.0) == [shapes[2], shapes[1]]
    assert _larger(shapes, None, 10.0) == []


def test_the_fastest_cells_of_each_file_are_streamed_first() -> None:
    def way(stem: str, ms: float, ssim: float) -> TimedCandidate:
        return TimedCandidate(Candidate(Path(f"{stem}.onnx"), "fp32", "onnxruntime", 1, 28.0, ssim, 0.8, 1.0), ms)

    every = [way("a", 3, 0.7), way("a", 1, 0.7), way("a", 2, 0.7), way("b", 7, 0.9), way("b", 30, 0.9)]
    assert _hopeful(every, 10.0) == [every[3], every[1], every[2]]


def test_a_deadline_that_nothing_holds_is_said(models: Path) -> None:
    found = fit(Requirement(0.001), models=models, shape=(64, 64), seconds=0.5)
    assert found.chosen is None and "Nothing holds 0.001 ms" in sentence(found)
    assert 'class="verdict missed"' in fit_page(found)


def test_lost_frames_are_said() -> None:
    lost = tried(3.0, 0.8, math.inf)
    found = Fit(Requirement(5.0), (64, 64), [lost], None, [lost])
    assert "all that were streamed lost more than 1 % of the frames" in sentence(found)
    assert "frames lost" in fit_page(found) and "inf" not in fit_page(found).replace("infer", "")
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["candidates"][0]["streamed_p99_ms"] is None


def test_an_unreachable_quality_is_refused_with_the_best(models: Path) -> None:
    with pytest.raises(GateError, match=r"ssim ≥ 0.99 is asked for, the best of \d+ candidates reaches 0\.\d+"):
        fit(Requirement(10.0, min_ssim=0.99), models=models)
    for deadline in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(UsageError, match="deadline"):
            fit(Requirement(deadline), models=models)


def test_an_unknown_quality_does_not_pass() -> None:
    unknown = tried(1.0, math.nan).candidate
    assert not Requirement(5.0, min_ssim=0.1).allows(unknown) and Requirement(5.0).allows(unknown)
    page = fit_page(Fit(Requirement(5.0), (64, 64), [tried(1.0, math.nan)], None, []))
    assert "No candidate states its SSIM" in page


def test_an_absent_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent.onnx does not exist"):
        find_candidates(tmp_path / "absent.onnx", "despeckle")

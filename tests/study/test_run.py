"""The study's machinery on a small system of its own: resuming, caching, the report, and what users do wrong."""

from __future__ import annotations

import _thread
import csv
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from edgerecon.core.errors import EdgereconError, UsageError
from edgerecon.study import degraded, plateau, systems
from edgerecon.study import run as running
from edgerecon.study.context import Context
from edgerecon.study.profile import Profile, profile
from edgerecon.study.reconstruction import ReconstructionLoss
from edgerecon.study.report import read_report
from edgerecon.study.results import MSE, PSNR, Claim, Picture, Result, Row, Table, measured, ordering, paired
from edgerecon.study.training import Schedule, digest, train_network
from edgerecon.study.turns import Turns
from edgerecon.workshop.models.compact import Compact
from edgerecon.workshop.train.steps import Adversarial, Supervised

SMOKE = Profile("smoke")


def batch(rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
    clean = torch.from_numpy(rng.random((4, 1, 8, 8), dtype=np.float32))
    return clean + 0.1, clean


def mse(output: torch.Tensor, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return torch.mean((output - target) ** 2)


def step() -> Supervised:
    torch.manual_seed(1)
    return Supervised(Compact(4, 2), mse)


def weights(made: Supervised) -> torch.Tensor:
    return torch.cat([p.flatten() for p in made.network.parameters()])


def test_training_lowers_the_loss_and_is_kept_when_finished(tmp_path: Path) -> None:
    first, again, other = step(), step(), step()
    curve = train_network(first, batch, Schedule(60), tmp_path / "a.pt", key="k", seed=3)
    assert curve[-1][0] == 60 and curve[-1][1] < 0.5 * curve[0][1]
    calls: list[int] = []

    def count(done: int, steps: int) -> None:
        calls.append(done)

    kept = train_network(again, batch, Schedule(60), tmp_path / "a.pt", key="k", seed=3, on_step=count)
    assert kept == curve and not calls and torch.equal(weights(again), weights(first))
    train_network(other, batch, Schedule(60), tmp_path / "a.pt", key="other", seed=3, on_step=count)
    assert len(calls) == 60, "a checkpoint of other inputs is not taken over"


def test_an_interrupted_run_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole, parts = step(), step()
    train_network(whole, batch, Schedule(40), tmp_path / "a.pt", key="k", seed=3)

    def stop(done: int, total: int) -> None:
        if done == 17:
            _thread.interrupt_main()

    with pytest.raises(KeyboardInterrupt):
        train_network(parts, batch, Schedule(40), tmp_path / "b.pt", key="k", seed=3, on_step=stop)
    parts = step()
    train_network(parts, batch, Schedule(40), tmp_path / "b.pt", key="k", seed=3)
    assert torch.equal(weights(parts), weights(whole))


def test_a_loss_that_is_not_finite_names_the_batch(tmp_path: Path) -> None:
    def poisoned(rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
        poisoned.calls += 1  # type: ignore[attr-defined]
        before, after = batch(rng)
        return before * (np.nan if poisoned.calls > 5 else 1), after  # type: ignore[attr-defined]

    poisoned.calls = 0  # type: ignore[attr-defined]
    with pytest.raises(EdgereconError, match="loss of batch 5 is not finite.*no checkpoint was written yet"):
        train_network(step(), poisoned, Schedule(20), tmp_path / "a.pt", key="k", seed=3)


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edgerecon.study.training.save_checkpoint", full)
    with pytest.raises(EdgereconError, match="No space left on device; free some space, then go on with --resume"):
        train_network(step(), batch, Schedule(2), tmp_path / "a.pt", key="k", seed=3)


def test_a_gpu_that_goes_away_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = step()

    def gone(*args: object) -> float:
        raise RuntimeError("CUDA error: unspecified launch failure\nmore")

    monkeypatch.setattr(made, "learn", gone)
    with pytest.raises(EdgereconError, match=r"a: the GPU failed \(CUDA error: unspecified launch failure\): go on"):
        train_network(made, batch, Schedule(2), tmp_path / "a.pt", key="k", seed=3)


def test_another_loss_trains_anew(tmp_path: Path) -> None:
    """The text of the lambda that makes the step is the same for both: the loss's own must count."""
    images = torch.zeros(2, 1, 16, 16)  # SSIM looks at 11×11 pixels
    trained = []
    for loss in (ReconstructionLoss(), degraded.error, degraded.error):
        ctx = Context(SMOKE, tmp_path, Result("any", "", ""))
        ctx.train("net", lambda loss=loss: Supervised(Compact(4, 2), loss), lambda rng: (images, images), Schedule(2))
        trained.append((tmp_path / "net.pt").stat().st_mtime_ns)
    assert trained[0] != trained[1] == trained[2]


@pytest.mark.parametrize("relativistic", [False, True])
def test_a_generator_learns_the_mean_that_its_discriminator_sees(relativistic: bool) -> None:
    """Without a content loss, a generator that only adds a constant must find the one of the real images."""

    class Shift(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shift = torch.nn.Parameter(torch.zeros(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.shift

    torch.manual_seed(0)
    judge = torch.nn.Sequential(torch.nn.Linear(1, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
    gan = Adversarial(Shift(), judge, lambda output, *b: 0.0 * output.sum(), weight=1.0, relativistic=relativistic)
    for _ in range(600):
        gan.learn((torch.randn(64, 1), torch.randn(64, 1) + 1.0), 1e-2)
    assert float(gan.network.shift.detach()) == pytest.approx(1.0, abs=0.35)


def test_intervals_and_orderings() -> None:
    values = measured({"psnr_db": [30.0, 31.0, 32.0, float("nan")], "mse": []})
    assert set(values) == {"psnr_db"} and values["psnr_db"]["mean"] == 31.0
    assert values["psnr_db"]["low"] < 31.0 < values["psnr_db"]["high"]
    assert paired([2.0, 3.0], [1.0, 1.0])["mean"] == 1.5
    rows = tuple(
        Row(name, "trained", measured({"mse": [v, v], "psnr_db": [1 / v, 1 / v]}))
        for name, v in (("a", 0.1), ("b", 0.2))
    )
    table = Table("t", (MSE, PSNR), rows, "two scenes")
    assert ordering(table, ["a", "b"], MSE, "a over b").holds and not ordering(table, ["b", "a"], PSNR, "").holds
    with pytest.raises(KeyError):
        table.mean("c", "mse")


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("edgerecon.study.systems.small")
    module.TITLE, module.PAPER = "A small <system>", "Nobody et al."  # type: ignore[attr-defined]
    module.made = 0  # type: ignore[attr-defined]

    def data() -> dict[str, np.ndarray]:
        module.made += 1  # type: ignore[attr-defined]
        return {"frames": np.random.default_rng(0).random((3, 8, 8))}

    def run(ctx: Context) -> None:
        frames = ctx.data("frames", {"n": 3}, data)["frames"]
        network = ctx.train("net", step, batch, Schedule(ctx.profile.pick(smoke=5, quick=6, full=7)))
        ctx.ship(network, "study-small", "despeckle", (16, 24))
        row = Row("net", "trained", measured({"mse": [0.1, 0.2]}), paper={"mse": 0.006}, note="why")
        ctx.result.tables.append(Table("One table", (MSE, PSNR), (row,), "2 scenes"))
        ctx.result.pictures.append(Picture("Pictures", (("one", frames[0]), ("colour", np.zeros((8, 8, 3))))))
        ctx.result.claims += [Claim("a < b", True, "0.1"), Claim("b", False, ""), Claim("c", None, "")]

    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(systems, "SYSTEMS", ("small",))
    return module


@pytest.fixture
def without_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is exported and timed, which takes most of a small study's time."""
    monkeypatch.setattr(running, "time_models", lambda *arguments: [])
    monkeypatch.setattr(Context, "ship", lambda *arguments: None)


def test_the_report(system: ModuleType, tmp_path: Path) -> None:
    report = running.run_study(SMOKE, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "A small &lt;system&gt;" in page and "a &lt; b" in page and "[0.006]" in page
    assert "http" not in page.replace("http://www.w3.org", ""), "the page needs nothing beside itself"
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["systems"][0]["tables"][0]["rows"][0]["values"]["mse"]["mean"] == pytest.approx(0.15)
    assert found["host"]["cpu"] and found["profile"] == "smoke"
    rows = {row["backend"]: row for row in found["speed"]}
    assert rows["onnxruntime"]["status"] == "ok" and rows["onnxruntime"]["latency_ms"]["p99"] > 0
    lines = list(csv.DictReader((tmp_path / "report.csv").open()))
    assert lines[0] | {"mean": "0.15", "paper": "0.006"} == lines[0] and lines[1]["mean"] == ""
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["small-pictures.png"]
    assert len(report.results[0].models) == 1 and report.results[0].models[0].max_abs_error < 1e-4


def test_resume_takes_over_and_a_new_run_does_not(system: ModuleType, tmp_path: Path, without_exports: None) -> None:
    first = running.run_study(SMOKE, tmp_path).seconds["small"]
    assert running.run_study(SMOKE, tmp_path, resume=True).seconds["small"] > first > 0, "runs add up"
    assert system.made == 1
    (tmp_path / "small" / "frames.npz").write_bytes(b"damaged")
    running.run_study(SMOKE, tmp_path, resume=True)
    assert system.made == 2
    running.run_study(SMOKE, tmp_path)
    assert system.made == 3


def test_resume_keeps_what_earlier_runs_found_elsewhere(
    system: ModuleType, tmp_path: Path, without_exports: None
) -> None:
    running.run_study(SMOKE, tmp_path)
    found = json.loads((tmp_path / "report.json").read_text())
    earlier = found["systems"][0] | {"name": "elsewhere"}
    (tmp_path / "report.json").write_text(json.dumps(found | {"systems": [earlier, *found["systems"]]}))
    report = running.run_study(SMOKE, tmp_path, resume=True)
    assert [result.name for result in report.results] == ["elsewhere", "small"]
    assert read_report(tmp_path / "report.json").to_json()["systems"] == report.to_json()["systems"]
    (tmp_path / "report.json").write_text("{}")
    assert [result.name for result in running.run_study(SMOKE, tmp_path, resume=True).results] == ["small"]


def test_a_long_study_trains_in_rounds_and_shows_how_far_it_is(
    system: ModuleType, tmp_path: Path, without_exports: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first turn is the six steps of quick; later rounds go on to the plateau; a resumed one has nothing to do."""
    monkeypatch.setattr(plateau, "PATIENCE", 1)
    running.run_study(Profile("long"), tmp_path, budget_s=1e-9)
    assert len(json.loads((tmp_path / "small/net.progress.json").read_text())["checks"]) == 1
    report = running.run_study(Profile("long"), tmp_path, resume=True)
    history = json.loads((tmp_path / "small/net.progress.json").read_text())
    assert history["finished"] and history["done"] == report.results[0].curves["net"][-1][0] > 6
    page = (tmp_path / "progress.html").read_text()
    assert "small/net" in page and "1 of 1 networks have reached" in page and page.count("data:image/png") == 1
    again = running.run_study(Profile("long"), tmp_path, resume=True)
    assert again.results[0].curves == report.results[0].curves and system.made == 1


def test_how_far_networks_came_outlives_their_folders(
    system: ModuleType, tmp_path: Path, without_exports: None
) -> None:
    """A report that was brought along says how far networks came whose checkpoints were not."""
    running.run_study(Profile("long"), tmp_path, budget_s=1e-9)
    found = json.loads((tmp_path / "report.json").read_text())
    gone = found["trained"]["small/net"] | {"name": "gone"}
    found["trained"] = {"elsewhere/gone": gone, "small/net": found["trained"]["small/net"] | {"steps": 10**6}}
    (tmp_path / "report.json").write_text(json.dumps(found))
    report = running.run_study(Profile("long"), tmp_path, resume=True, budget_s=1e-9)
    assert set(report.trained) == {"elsewhere/gone", "small/net"}
    assert report.trained["elsewhere/gone"].steps == gone["steps"] and report.trained["small/net"].steps < 10**6


def test_every_system_keeps_the_commit_of_its_own_figures(
    system: ModuleType, tmp_path: Path, without_exports: None
) -> None:
    running.run_study(SMOKE, tmp_path)
    found = json.loads((tmp_path / "report.json").read_text())
    del found["measured"]
    found["systems"].append(found["systems"][0] | {"name": "elsewhere"})
    found["host"] |= {"commit": "older", "date": "2020-01-01"}
    (tmp_path / "report.json").write_text(json.dumps(found))
    running.run_study(SMOKE, tmp_path, resume=True)
    kept = json.loads((tmp_path / "report.json").read_text())
    older = kept["measured"]["elsewhere"]
    assert (older["commit"], older["date"]) == ("older", "2020-01-01") and older["cpu"] == found["host"]["cpu"]
    assert kept["measured"]["small"] == {key: kept["host"][key] for key in older} != older


def test_what_others_start_from_ends_with_its_first_turn(tmp_path: Path) -> None:
    """However much time its turn has: those that started from it would have to begin anew."""
    turns = Turns(tmp_path, None)
    turns.shares["any/first"] = 60.0
    (tmp_path / "any").mkdir()
    ctx = Context(Profile("long"), tmp_path / "any", Result("any", "", ""), turns=turns)
    ctx.train("first", step, batch, Schedule(3, fixed=True))
    (found,) = turns.networks().values()
    assert found.finished and found.done == 3


def test_a_digest_is_of_the_weights_alone() -> None:
    network = Compact(4, 2)
    before = digest(network)
    assert digest(network.to(memory_format=torch.channels_last)) == before
    next(network.parameters()).data += 1
    assert digest(network) != before


def test_a_long_study_is_as_large_as_quick_unless_said() -> None:
    sizes = {"smoke": 1, "quick": 2, "full": 3}
    assert Profile("long").pick(**sizes) == 2 and Profile("long").pick(**sizes, long=4) == 4
    assert Profile("quick").pick(**sizes, long=4) == 2


def test_networks_are_named_in_a_long_study_alone(tmp_path: Path) -> None:
    assert running.chosen(["diagnosis/unet"]) == ("diagnosis",)
    with pytest.raises(UsageError, match="one by one: add  --profile long"):
        running.run_study(SMOKE, tmp_path, ["diagnosis/unet"])


def test_unknown_names_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="no system 'gan'"):
        running.chosen(["gan"])
    with pytest.raises(UsageError, match="no profile 'tiny': choose quick, long or full"):
        profile("tiny")
    assert running.chosen(["diagnosis", "recurrent"]) == ("recurrent", "diagnosis")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ctx = Context(SMOKE, tmp_path / "file", Result("s", "", ""))
    with pytest.raises(EdgereconError, match="cannot write"):
        ctx.data("a", {}, lambda: {"x": np.zeros(1)})

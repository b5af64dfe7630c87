"""Training until nothing improves: plateaus, turns that change nothing, the best weights kept, time shared out."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from edgerecon.core.errors import UsageError
from edgerecon.study import plateau
from edgerecon.study.plateau import CUTS, PATIENCE, History, Plan, Turn, history_of, summary, train_for
from edgerecon.study.training import Draw
from edgerecon.study.turns import LEAST_S, Turns, shares
from edgerecon.workshop.train.steps import Adversarial, Batch, Supervised

PLAN = Plan(rate=1e-2, every=5, steps=60)


def learner() -> Supervised:
    torch.manual_seed(1)
    return Supervised(torch.nn.Conv2d(1, 1, 3, padding=1), error)


def error(output: torch.Tensor, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return ((output - target) ** 2).mean()


def draw(rng: np.random.Generator) -> Batch:
    image = torch.from_numpy(rng.random((2, 1, 12, 12), dtype=np.float32))
    return image, 1 - image


def trained(path: Path, *turns: Turn, plan: Plan = PLAN, check: Draw = draw) -> tuple[History, torch.Tensor]:
    """The history and the weights after the last turn; every turn begins as a new process does."""
    for turn in turns:
        step = learner()
        history = train_for(turn, step, draw, check, plan, path, key="k", seed=3, on_check=lambda *shown: None)
    return history, torch.cat([part.flatten() for part in step.network.state_dict().values()])


def test_turns_change_nothing(tmp_path: Path) -> None:
    history, whole = trained(tmp_path / "a.pt", Turn(math.inf))
    again, parts = trained(tmp_path / "b.pt", Turn(first=17), Turn(first=18), Turn(math.inf))
    assert history.done == again.done == PLAN.steps and history.checks == again.checks
    assert torch.equal(whole, parts)
    assert history.checks[-1][1] < 0.5 * history.checks[0][1]


def test_a_killed_run_goes_on_from_its_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, whole = trained(tmp_path / "a.pt", Turn(math.inf))
    monkeypatch.setattr(plateau, "SAVE_EVERY_S", 0.0)
    drawn: list[Batch] = []

    def killed(rng: np.random.Generator) -> Batch:
        drawn.append(draw(rng))
        if len(drawn) == 23:
            raise SystemExit
        return drawn[-1]

    path = tmp_path / "b.pt"
    with pytest.raises(SystemExit):
        train_for(Turn(math.inf), learner(), killed, draw, PLAN, path, key="k", seed=3, on_check=lambda *shown: None)
    _, parts = trained(path, Turn(math.inf))
    assert torch.equal(parts, whole)
    path.unlink()
    assert trained(path, Turn(first=3))[0].done == 3, "without its checkpoint it begins anew"


def test_a_plateau_cuts_the_rate_and_the_last_one_ends() -> None:
    history = History()
    assert history.add(1, 0.5, 1.0)
    for step in range(PATIENCE * (CUTS + 1)):
        assert not history.finished and history.cuts == step // PATIENCE
        history.add(step, 0.5, 1.0)
    assert history.finished
    history = History()
    for step in range(200):
        history.add(step, 0.5, 0.99**step)
    assert history.cuts == 0 and not history.finished, "what improves has no plateau"
    history = History()
    for step in range(200):
        history.add(step, 0.5, 0.997**step)
    assert history.cuts == CUTS and not history.finished, "what improves slowly gets a lower rate, and goes on"


def test_small_gains_that_add_up_are_no_plateau() -> None:
    history = History()
    for step in range(200):
        history.add(step, 0.5, 0.999**step)
    assert history.cuts == CUTS and not history.finished, (
        "half of LEAST a check, but four times LEAST in PATIENCE checks"
    )


def test_training_ends_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plateau, "PATIENCE", 1)
    history, _ = trained(tmp_path / "a.pt", Turn(math.inf), plan=Plan(1e-12, 2, 10_000))
    assert history.finished and history.done <= 2 * (CUTS + 2)
    assert history_of(tmp_path / "a.pt") == history
    assert trained(tmp_path / "a.pt", Turn(math.inf))[0].done == history.done


def test_the_weights_of_the_best_check_are_kept(tmp_path: Path) -> None:
    """Held-out scenes ask for something else than those that are learned: the first check is the best."""

    def opposite(rng: np.random.Generator) -> Batch:
        image, _ = draw(rng)
        return image, 5 * image

    history, found = trained(tmp_path / "a.pt", Turn(math.inf), plan=Plan(1e-1, 10, 60), check=opposite)
    assert history.best == history.checks[0][1] < history.checks[-1][1]
    _, first = trained(tmp_path / "b.pt", Turn(first=10), plan=Plan(1e-1, 10, 60), check=opposite)
    assert torch.equal(found, first)


def test_an_adversarial_training_takes_all_its_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plateau, "PATIENCE", 1)
    judge = torch.nn.Conv2d(1, 1, 3)
    step = Adversarial(torch.nn.Conv2d(1, 1, 3, padding=1), judge, error, weight=0.1)
    history = train_for(
        Turn(math.inf),
        step,
        draw,
        draw,
        Plan(1e-12, 1, 9),
        tmp_path / "a.pt",
        key="k",
        seed=0,
        on_check=lambda *a: None,
    )
    assert history.done == 9 and history.finished and history.cuts == 0 and not history.judged


def test_how_far_a_network_came_is_read_from_its_checks() -> None:
    history = History(done=40, seconds=7200, checks=[(10, 3.0), (20, 2.0), (30, 1.0), (40, 0.9)], best=0.9)
    assert summary("a", history).falling == pytest.approx(0.1)
    history.judged = False
    assert summary("a", history).falling is None and "fell" not in str(summary("a", history))


def test_time_goes_to_those_that_improve() -> None:
    networks = {"a": History(gain=0.3), "b": History(gain=0.1), "c": History(finished=True), "d": History(gain=0.0)}
    found = shares(networks, 400.0)
    assert found == pytest.approx({"a": 300.0, "b": 100.0}), "the turn of d would be too short to matter"
    assert shares({"d": History(gain=-0.1)}, 30.0) == {"d": 30.0} and shares({"c": networks["c"]}, 99.0) == {}
    assert all(turn >= LEAST_S for turn in shares({str(n): History() for n in range(50)}, 100.0).values())


def test_time_goes_to_the_networks_that_are_named(tmp_path: Path) -> None:
    turns = Turns(tmp_path, 100.0, clock=lambda: 0.0, named=["s/b"])
    assert not turns.begin_round(("s",)), "nothing was trained yet: no name can be wrong"
    for name in ("s/a", "s/b", "t/a"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        trained(tmp_path / f"{name}.pt", Turn(first=1))
    assert turns.begin_round(("s", "t")) and set(turns.shares) == {"s/b", "t/a"}
    with pytest.raises(UsageError, match="no network 's/c' in the study: choose from s/a, s/b"):
        Turns(tmp_path, 100.0, named=["s/c"]).begin_round(("s",))


def test_a_network_of_a_claim_may_be_named_before_it_was_trained(tmp_path: Path) -> None:
    (tmp_path / "tomography").mkdir()
    trained(tmp_path / "tomography/mri-variable.pt", Turn(first=1))
    turns = Turns(tmp_path, 100.0, clock=lambda: 0.0, named=["tomography/ct-sparse"])
    assert not turns.begin_round(("tomography",)) and turns.reaches("tomography/ct-sparse")


def test_networks_that_are_not_named_stand_aside(tmp_path: Path) -> None:
    turns = Turns(tmp_path, 100.0, clock=lambda: 0.0, named=["s/a"])
    (tmp_path / "s").mkdir()
    assert turns.turn("s/b", 7).first == 7 and not turns.reaches("s/b") and turns.reaches("s/a")
    trained(tmp_path / "s/a.pt", Turn(first=1))
    assert turns.turn("s/b", 7).first == 0 and not turns.reaches("s/b") and turns.reaches("s/a")
    assert turns.turn("t/b", 7).first == 7 and turns.begin_round(("s",)) and turns.shares == {"s/a": 100.0}


def test_new_networks_start_first_and_known_ones_take_a_share(tmp_path: Path) -> None:
    now = [0.0]
    turns = Turns(tmp_path, 1000.0, clock=lambda: now[0])
    assert not turns.begin_round(("s",)) and turns.turn("s/new", 7) == Turn(0.0, 7, 1000.0)
    (tmp_path / "s").mkdir()
    assert trained(tmp_path / "s/new.pt", turns.turn("s/new", 7))[0].done == 7
    assert turns.begin_round(("s",)) and turns.has_work("s") and not turns.has_work("t")
    assert turns.turn("s/new", 7) == Turn(500.0, 7, 1000.0)
    assert not turns.begin_round(("s",)), "a round that trained nothing was the last"
    now[0] = 1001.0
    assert not turns.begin_round(("s",)) and trained(tmp_path / "s/new.pt", turns.turn("s/new", 9))[0].done == 7
    assert trained(tmp_path / "s/other.pt", turns.turn("s/other", 9))[0].done == 1, "it is there, if barely"

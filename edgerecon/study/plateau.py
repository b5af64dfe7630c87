"""Training a network until it stops improving on scenes that it does not learn from.

The rate falls to a fifth whenever ``PATIENCE`` checks brought less than ``SLOW``, twice: most of what a rate can bring
comes early, and the next one finds more in the same time. At the last rate the training ends when ``PATIENCE`` checks
together brought less than ``LEAST``: that is its plateau. What is checked, and kept when it is the best,
is a running mean of the weights (Polyak & Juditsky, SIAM J. Control Optim. 30(4), 1992). An adversarial training has no
loss that falls to a least value: it takes a fixed number of steps, and its last running mean is kept.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from edgerecon.core.errors import EdgereconError
from edgerecon.core.files import write
from edgerecon.core.json import parse, plain
from edgerecon.study.results import Trained
from edgerecon.study.training import Curve, Draw, diverged, learn, save
from edgerecon.workshop.train.checkpoint import load_checkpoint
from edgerecon.workshop.train.interrupt import interrupt_between_steps
from edgerecon.workshop.train.steps import Batch, Loss, Step, Supervised

PATIENCE, SLOW, LEAST, CUTS, CUT = 8, 0.05, 2e-3, 2, 1 / 5
AVERAGED = 0.998
"""Share that the running mean keeps in a step, once it is long enough."""
BATCHES = 8
"""The number of held-out batches, which are drawn once."""
ADVERSARIAL_GAIN = 0.02
"""Gain that an adversarial training is credited with, because its error does not show its progress."""
SAVE_EVERY_S = 30.0
HISTORY = ".progress.json"


@dataclass(frozen=True)
class Plan:
    """rate: of the first steps, reached along a line in the first ``every``. every: steps between checks.

    steps: where training ends in any case; an adversarial one ends only there.
    """

    rate: float
    every: int
    steps: int


@dataclass(frozen=True)
class Turn:
    """seconds: a network's share of the round. first: steps that a new training takes, whatever its share. left:
    seconds after which the turn ends in any case."""

    seconds: float = 0.0
    first: int = 1
    left: float = math.inf


@dataclass
class History:
    """How far a network has come; written beside its checkpoint as NAME.progress.json.

    Attributes:
        curve, checks: (step, loss) in training since the check before, and on held-out scenes. best: least of checks.
        mark, since: the last check that was better than the mark before it by ``LEAST``, and checks since then.
        cuts: of the rate. cut: how many checks there were at the last one.
        gain: share by which ``best`` fell in the last turn.
        judged: whether the held-out error tells how good it is; not so in an adversarial training.
    """

    done: int = 0
    seconds: float = 0.0
    curve: Curve = field(default_factory=list)
    checks: Curve = field(default_factory=list)
    best: float = math.inf
    mark: float = math.inf
    since: int = 0
    cuts: int = 0
    cut: int = 0
    gain: float = 1.0
    finished: bool = False
    judged: bool = True

    def add(self, step: int, trained: float, checked: float) -> bool:
        """Note a check; returns whether it is the best."""
        self.curve.append((step, trained))
        self.checks.append((step, checked))
        better = not math.isfinite(self.mark) or checked < self.mark - LEAST * abs(self.mark)
        improved = checked < self.best
        self.best = min(self.best, checked)
        self.mark, self.since = (checked, 0) if better else (self.mark, self.since + 1)
        if self.cuts < CUTS and self._slow():
            self.since, self.cuts, self.cut = 0, self.cuts + 1, len(self.checks)
        elif self.cuts >= CUTS and self.since >= PATIENCE:
            self.finished = True
        return improved

    def _slow(self) -> bool:
        """Whether ``PATIENCE`` checks at one rate brought less than ``SLOW``."""
        before = [loss for _, loss in self.checks[:-PATIENCE]]
        if len(self.checks) - self.cut < PATIENCE or not before:
            return False
        return min(before) - self.best < SLOW * abs(min(before))


def summary(name: str, history: History) -> Trained:
    """What the report states of a network's training: steps, seconds, whether it ended, and the error's last fall."""
    checks = [loss for _, loss in history.checks]
    late = max(1, len(checks) * 3 // 4)
    falling = None
    if history.judged and len(checks) > late:
        before = min(checks[:late])
        falling = max(0.0, before - history.best) / max(abs(before), 1e-12)
    return Trained(name, history.done, history.seconds, history.finished, falling)


def history_of(checkpoint: Path) -> History | None:
    """What was written beside a checkpoint; None when nothing readable is there."""
    try:
        return _history(checkpoint.with_suffix(HISTORY).read_bytes())
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_history(checkpoint: Path, history: History) -> None:
    """Put it beside its checkpoint, for whoever looks on; a training goes on from what the checkpoint itself holds."""
    write(checkpoint.with_suffix(HISTORY), _text(history).encode())


def _text(history: History) -> str:
    return json.dumps(plain(asdict(history)))


def _history(text: str | bytes) -> History:
    found = parse(text)
    points = {name: [(int(step), float(loss)) for step, loss in found[name]] for name in ("curve", "checks")}
    least = {name: math.inf if found.get(name) is None else found[name] for name in ("best", "mark")}
    return History(**found | points | least)


def train_for(
    turn: Turn,
    step: Step,
    draw: Draw,
    check: Draw,
    plan: Plan,
    path: Path,
    *,
    key: str,
    seed: int,
    on_check: Callable[[History, nn.Module, Batch], None],
) -> History:
    """Give a network a turn, from where its checkpoint stands; ``step.network`` becomes its best.

    What it learns does not depend on how its time is cut into turns (on a CPU).

    Args:
        draw, check: a batch to learn from, and one of held-out scenes. path, key: see ``train_network``.
        on_check: called after every check with the history, the running mean and a held-out batch.

    Raises:
        EdgereconError, KeyboardInterrupt: see ``train_network``.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for part in (step.network, getattr(step, "discriminator", None)):
        if part is not None:
            _set_memory_format(part.to(device), torch.channels_last)
    average, best = (copy.deepcopy(step.network).eval().requires_grad_(False) for _ in range(2))
    rng = np.random.default_rng([seed])
    held_out = [_to(device, check(np.random.default_rng([seed, index]))) for index in range(BATCHES)]
    history = _resume(step, average, best, path, key, rng)
    spent, before, losses = history.seconds, history.best, list[float]()
    start = saved = time.monotonic()
    with interrupt_between_steps() as interrupted:
        while not history.finished and (_has_time(turn, history, time.monotonic() - start) or history.done == 0):
            loss = learn(step, _to(device, draw(rng)), _rate(plan, history), path)
            if not math.isfinite(loss):
                raise EdgereconError(diverged(path, history.done))
            _update_average(average, step.network, history.done)
            losses.append(loss)
            history.done += 1
            history.seconds = spent + time.monotonic() - start
            if history.done % plan.every == 0 or history.done >= plan.steps:
                if _check(history, step, average, held_out, float(np.mean(losses)), plan):
                    best.load_state_dict(average.state_dict())
                losses.clear()
                on_check(history, average, held_out[0])
            if time.monotonic() - saved > SAVE_EVERY_S or interrupted():
                _save(step, average, best, history, path, key, rng)
                saved = time.monotonic()
            if interrupted():
                raise KeyboardInterrupt
    if history.seconds > spent:
        history.gain = _gain(step, before, history.best)
        _save(step, average, best, history, path, key, rng)
    step.network.load_state_dict((best if history.checks else average).state_dict())
    _set_memory_format(step.network.eval().requires_grad_(False).cpu(), torch.contiguous_format)
    return history


def _check(
    history: History, step: Step, average: nn.Module, held_out: Sequence[Batch], trained: float, plan: Plan
) -> bool:
    """Note a check of the running mean; returns whether it is the one to keep."""
    improved = history.add(history.done, trained, _error(step, average, held_out))
    history.judged = isinstance(step, Supervised)
    if not history.judged:
        history.since = history.cuts = 0
        history.finished, improved = False, True
    history.finished |= history.done >= plan.steps
    return improved


@torch.no_grad()
def _error(step: Step, network: nn.Module, held_out: Sequence[Batch]) -> float:
    """Mean loss on held-out batches; of an adversarial training that of the content alone."""
    loss: Loss = step.loss if isinstance(step, Supervised) else step.content  # type: ignore[attr-defined]
    return float(np.mean([float(loss(network(batch[0]), *batch)) for batch in held_out]))


def _has_time(turn: Turn, history: History, seconds: float) -> bool:
    return seconds < turn.left and (seconds < turn.seconds or history.done < turn.first)


def _gain(step: Step, before: float, after: float) -> float:
    """Share by which the error fell in a turn; 1 after the first."""
    if not isinstance(step, Supervised):
        return ADVERSARIAL_GAIN
    return (before - after) / max(abs(before), 1e-12) if math.isfinite(before) else 1.0


def _rate(plan: Plan, history: History) -> float:
    """Of the next step."""
    return plan.rate * CUT**history.cuts * min(1.0, (history.done + 1) / plan.every)


def _update_average(average: nn.Module, network: nn.Module, steps: int) -> None:
    """Move the running mean towards the weights; it is short at first, so that it forgets where they began."""
    kept = min(AVERAGED, (1 + steps) / (10 + steps))
    for mean, now in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(now, 1 - kept)
        else:
            mean.copy_(now)  # how many batches were seen


def _set_memory_format(network: nn.Module, layout: torch.memory_format) -> None:
    """In memory; with channels last a step takes 10 to 30 % less time on a CPU (U-Net, SRResNet, DenseNet-201)."""
    network.to(memory_format=layout)  # type: ignore[call-overload]


def _to(device: torch.device, batch: Batch) -> Batch:
    return tuple(
        part.to(device, memory_format=torch.channels_last if part.ndim == 4 else torch.preserve_format)
        for part in batch
    )


def _resume(step: Step, average: nn.Module, best: nn.Module, path: Path, key: str, rng: np.random.Generator) -> History:
    if not path.exists():
        return History()
    state = load_checkpoint(path)
    if state.get("key") != key:
        return History()
    step.load_state_dict(state["model"])
    average.load_state_dict(state["average"])
    best.load_state_dict(state["best"])
    rng.bit_generator.state = json.loads(state["numpy_rng"])
    torch.set_rng_state(state["torch_rng"])
    return _history(state["history"])


def _save(
    step: Step, average: nn.Module, best: nn.Module, history: History, path: Path, key: str, rng: np.random.Generator
) -> None:
    parts = {"average": average.state_dict(), "best": best.state_dict(), "history": _text(history)}
    save(path, {"model": step.state_dict(), "key": key, **parts}, rng)
    write_history(path, history)

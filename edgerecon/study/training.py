"""Training one network of a study: seeded, resumable, stopped by a loss that is not finite."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgerecon.core.errors import EdgereconError
from edgerecon.workshop.train.checkpoint import load_checkpoint, save_checkpoint
from edgerecon.workshop.train.interrupt import interrupt_between_steps
from edgerecon.workshop.train.steps import Batch, Step

SAVE_EVERY_S = 30.0
POINTS = 100
"""The number of points of a curve: each the mean loss of a hundredth of the steps."""
WARM_UP = 0.05
Draw = Callable[[np.random.Generator], Batch]
Curve = list[tuple[int, float]]


@dataclass(frozen=True)
class Schedule:
    """steps: of the optimiser. rate: after a linear rise over the first 5 %; falls to a hundredth along a cosine.

    fixed: a long study takes these steps and no more, since other networks start from this one.
    """

    steps: int
    rate: float = 1e-3
    fixed: bool = False

    def at(self, step: int) -> float:
        """The learning rate of a step (from 0): a linear warm-up, then half a cosine down to 1 % of ``rate``."""
        warm = max(1, int(WARM_UP * self.steps))
        if step < warm:
            return self.rate * (step + 1) / warm
        done = (step - warm) / max(1, self.steps - warm)
        return self.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def train_network(
    step: Step,
    draw: Draw,
    schedule: Schedule,
    path: Path,
    *,
    key: str,
    seed: int,
    on_step: Callable[[int, int], None] | None = None,
) -> Curve:
    """Train ``step.network`` in place, or take over what ``path`` holds, finished or not.

    An interrupted run goes on where it stood and ends with the same weights as one that was not (on a CPU).

    Args:
        draw: a batch from a generator, tensors on the CPU. path: of the checkpoint. key: of everything that decides the
            outcome; a checkpoint of another key is trained anew. on_step: called with (done, steps).

    Returns:
        (step, mean loss since the point before) pairs.

    Raises:
        EdgereconError: the loss was not finite (names the batch; the last good checkpoint stays), the GPU failed, or
        the checkpoint cannot be written. KeyboardInterrupt: after the checkpoint was written.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    step.network.to(device)
    other = getattr(step, "discriminator", None)
    if other is not None:
        other.to(device)
    rng = np.random.default_rng([seed])
    done, curve = _resume(step, path, key, rng)
    losses: list[float] = []
    saved = time.monotonic()
    with interrupt_between_steps() as interrupted:
        while done < schedule.steps:
            batch = tuple(part.to(device) for part in draw(rng))
            loss = learn(step, batch, schedule.at(done), path)
            if not math.isfinite(loss):
                raise EdgereconError(diverged(path, done))
            losses.append(loss)
            done += 1
            if done * POINTS // schedule.steps > (done - 1) * POINTS // schedule.steps:
                curve.append((done, float(np.mean(losses))))
                losses.clear()
            if done == schedule.steps or time.monotonic() - saved > SAVE_EVERY_S or interrupted():
                points = [list(point) for point in curve]
                save(path, {"model": step.state_dict(), "key": key, "done": done, "curve": points}, rng)
                saved = time.monotonic()
            if on_step:
                on_step(done, schedule.steps)
            if interrupted():
                raise KeyboardInterrupt
    step.network.eval().requires_grad_(False).cpu()
    return curve


def learn(step: Step, batch: Batch, rate: float, path: Path) -> float:
    """One step; what a GPU refuses is said in a sentence. path: of the checkpoint."""
    try:
        return step.learn(batch, rate)
    except torch.cuda.OutOfMemoryError:
        raise EdgereconError(f"{path.stem}: the GPU is out of memory: free some, then go on with --resume") from None
    except RuntimeError as error:
        if "CUDA" not in str(error):
            raise
        reason = str(error).splitlines()[0]
        raise EdgereconError(f"{path.stem}: the GPU failed ({reason}): go on with --resume") from None


def diverged(path: Path, done: int) -> str:
    """What to say of a loss that is not finite."""
    kept = f"the last good checkpoint is {path}" if path.exists() else "no checkpoint was written yet"
    return f"{path.stem}: the loss of batch {done} is not finite, training stops; {kept}"


def digest(network: torch.nn.Module) -> str:
    """Of its weights: what starts from a network trains anew when that one has changed."""
    content = b"".join(value.cpu().contiguous().numpy().tobytes() for value in network.state_dict().values())
    return hashlib.sha256(content).hexdigest()


def _resume(step: Step, path: Path, key: str, rng: np.random.Generator) -> tuple[int, Curve]:
    if not path.exists():
        return 0, []
    state = load_checkpoint(path)
    if state.get("key") != key:
        return 0, []
    step.load_state_dict(state["model"])
    rng.bit_generator.state = json.loads(state["numpy_rng"])
    torch.set_rng_state(state["torch_rng"])
    return int(state["done"]), [(int(at), float(loss)) for at, loss in state["curve"]]


def save(path: Path, state: dict[str, Any], rng: np.random.Generator) -> None:
    """Write a checkpoint that holds where chance stands.

    Raises:
        EdgereconError: it cannot be written.
    """
    state |= {"numpy_rng": json.dumps(rng.bit_generator.state), "torch_rng": torch.get_rng_state()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_checkpoint(path, state)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise EdgereconError(f"cannot write {path}: {reason}; free some space, then go on with --resume") from None

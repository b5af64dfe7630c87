"""Training: AdamW, cosine schedule, averaged weights; seeded, resumable, best checkpoint by validation."""

from __future__ import annotations

import gc
import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from edgerecon.core.errors import DataError, EdgereconError, RecipeError
from edgerecon.hardware.host import usable_cores
from edgerecon.workshop.data.datasets import CropSampler, training_data
from edgerecon.workshop.models.network import Network
from edgerecon.workshop.recipe import Recipe
from edgerecon.workshop.recipe_tables import TrainTable
from edgerecon.workshop.train import processes
from edgerecon.workshop.train.checkpoint import BEST, LAST, load_checkpoint, new_model, restore, save_checkpoint
from edgerecon.workshop.train.curves import Curve, Row
from edgerecon.workshop.train.interrupt import interrupt_between_steps
from edgerecon.workshop.train.losses import ReconstructionLoss
from edgerecon.workshop.train.validate import validate
from edgerecon.workshop.train.widen import widen

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """What a progress bar may show after each step.

    Attributes:
        step: done so far, of ``steps``. loss: of this step. psnr_db, ssim: of the latest validation, NaN before it.
        images_per_second: crops, over this call.
    """

    step: int
    steps: int
    loss: float
    psnr_db: float
    ssim: float
    images_per_second: float


def train(
    recipe: Recipe,
    *,
    run_dir: Path,
    data: Path | None = None,
    resume: bool = False,
    steps: int | None = None,
    on_step: Callable[[Progress], None] | None = None,
    accelerator: str = "auto",
    weights: Path | None = None,
) -> Path:
    """Train the recipe's network, in this process or, under torchrun, in all of them (see ``processes``).

    Of several processes each has to see ``data`` and ``run_dir``; the first alone writes and calls ``on_step``. The
    weights are those of one process with the same batch, to the rounding of sums.

    Args:
        run_dir: gets best.pt, last.pt, curve.csv and curve.png. data: HDF5 pairs; default: the recipe's file.
        resume: go on from last.pt, exactly as if it had not been interrupted, where there is one.
        steps: instead of the recipe's. accelerator: "auto", "cpu" or "cuda", as lightning-fabric spells it.
        weights: checkpoint to start from; None: random ones, or as ``train.start`` says.

    Returns:
        The best checkpoint, by validation PSNR of the averaged weights.

    Raises:
        DataError, RecipeError: see ``load_pairs``; an unusable precision; a checkpoint of another network.
        EdgereconError: the loss became NaN or infinite (the last good checkpoints stay); ``run_dir`` cannot be written;
        a GPU or another process failed. All of them can be resumed.
        KeyboardInterrupt: after last.pt was written.
    """
    table = recipe.train if steps is None else recipe.train.model_copy(update={"steps": steps})
    sampler, held_out = training_data(recipe, table, data)
    run = _Run(recipe, table, accelerator, sampler.rng, sampler.plain)
    if (takes := run.average.input_channels) != sampler.channels:
        raise DataError(
            f"{data or recipe.data.file}: the inputs have {sampler.channels} channels, and the network takes {takes}: "
            "check data.inputs and [model]"
        )
    _log.info("%d training and %d validation images on %s", len(sampler.pairs), len(held_out), run.device)

    def check() -> tuple[float, float]:
        return run.validate(lambda model: validate(model, held_out, recipe.data.inputs, recipe.data.target, run.device))

    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        if resume and (run_dir / LAST).exists():
            run.load(run_dir / LAST)
        elif weights is not None:
            run.start_from(weights)
        if processes.rank() == 0:
            curve = Curve(run_dir / "curve.csv", run.step if run.step else None)
            try:
                _loop(run, sampler, check, curve, run_dir, on_step)
            finally:
                curve.draw(run_dir / "curve.png")
        else:
            _loop(run, sampler, check, None, run_dir, None)
    except OSError as error:
        reason = error.strerror or error
        raise EdgereconError(f"cannot write to {run_dir}: {reason}; go on with --resume once it can be") from None
    finally:
        run.free_model()
    processes.end()
    return run_dir / BEST


def _loop(
    run: _Run,
    sampler: CropSampler,
    check: Callable[[], tuple[float, float]],
    curve: Curve | None,
    run_dir: Path,
    on_step: Callable[[Progress], None] | None,
) -> None:
    table, first, losses = run.table, run.step, []
    psnr, ssim = math.nan, math.nan
    start = time.perf_counter()
    with interrupt_between_steps(at_once=processes.count() == 1) as interrupted, _resumable_failures():
        while run.step < table.steps:
            losses.append(run.train_step(*sampler.draw(), run_dir))
            done = run.step == table.steps
            seconds = time.perf_counter() - start
            if done or run.step % table.validate_every == 0:
                psnr, ssim = check()
                if not math.isfinite(psnr):
                    raise _diverged(run.step, run_dir)
                rate = run.optimizer.param_groups[0]["lr"]
                loss = float(np.mean(losses))
                losses.clear()
                if curve:
                    curve.add(Row(run.step, loss, rate, psnr, ssim, run.seconds + seconds))
                    if psnr > run.best:
                        run.best = psnr
                        save_checkpoint(run_dir / BEST, run.best_state(psnr, ssim))
                    run.save(run_dir / LAST, seconds)
            if on_step:
                images = (run.step - first) * table.batch
                on_step(Progress(run.step, table.steps, losses[-1] if losses else loss, psnr, ssim, images / seconds))
            if processes.any_process(run.fabric, interrupted()):
                if curve:
                    run.save(run_dir / LAST, seconds)
                run.fabric.barrier()  # the first process has written before torchrun sees any of them end
                raise KeyboardInterrupt


class _Run:
    """Everything that changes during training, and how to save and restore it."""

    def __init__(
        self, recipe: Recipe, table: TrainTable, accelerator: str, rng: np.random.Generator, plain: int
    ) -> None:
        if table.precision == "16-mixed" and (accelerator == "cpu" or not torch.cuda.is_available()):
            raise RecipeError("train.precision: 16-mixed needs a GPU; use 32-true or bf16-mixed on a CPU")
        if "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(usable_cores())
        self.part = processes.part(table.batch)
        self.fabric: Any = processes.open_fabric(accelerator, table.precision)
        self.device: torch.device = self.fabric.device
        torch.manual_seed(table.seed)
        self.recipe, self.table, self.rng = recipe, table, rng
        model = new_model(recipe)
        if table.start:
            widen(model, table.start)
        # as the activations: a seventh faster in bf16 on a CPU
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # absent from torch's types
        optimizer = torch.optim.AdamW(model.parameters(), lr=table.learning_rate, weight_decay=table.weight_decay)
        self.model, self.optimizer = self.fabric.setup(model, optimizer)
        self.average = new_model(recipe).to(self.device).requires_grad_(False)
        self.average.load_state_dict(self.model.module.state_dict())
        self.loss = ReconstructionLoss(table.loss, plain).to(self.device)
        self.step = 0
        self.best = -math.inf
        self.seconds = 0.0

    def free_model(self) -> None:
        """Drop the network, so that it does not outlive the process group.

        The last owner of a gloo group waits for its thread. DDP would wait holding the interpreter, which that thread
        may need to end.
        """
        del self.model
        if processes.count() > 1:
            gc.collect()  # DDP is part of cycles

    def start_from(self, path: Path) -> None:
        """Take the weights of a checkpoint of the same network."""
        state = load_checkpoint(path)["model"]
        for network in (self.model.module, self.average):
            restore(network, state, path)

    def train_step(self, source: np.ndarray, target: np.ndarray, run_dir: Path) -> float:
        """One optimiser step on a batch; returns its loss."""
        table = self.table
        for group in self.optimizer.param_groups:
            group["lr"] = table.learning_rate * schedule(self.step, table)
        before, after = (torch.from_numpy(batch).to(self.device) for batch in (source, target))
        network = self.model.module
        output = network.shown(processes.gather(self.fabric, self.model(before[self.part])))
        loss: Tensor = self.loss(output, after, network.before(before))
        value = float(loss.detach())
        if not math.isfinite(value):
            raise _diverged(self.step, run_dir)
        self.fabric.backward(loss * processes.count())
        # A gradient that overflows in 16 bits is skipped by the scaler; elsewhere it shows in the next loss.
        self.fabric.clip_gradients(self.model, self.optimizer, max_norm=table.clip, error_if_nonfinite=False)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        # The first averages weigh all steps alike, else the starting weights would linger.
        decay = min(table.ema, self.step / (self.step + 10)) if table.ema else 0.0
        torch._foreach_lerp_(list(self.average.parameters()), [p.data for p in self.model.parameters()], 1 - decay)
        return value

    def validate(self, check: Callable[[Network], tuple[float, float]]) -> tuple[float, float]:
        return check(self.average.eval())

    def best_state(self, psnr: float, ssim: float) -> dict[str, Any]:
        """What an export needs: the averaged weights and what they reached."""
        return {
            "model": _on_cpu(self.average),
            "step": self.step,
            "psnr_db": psnr,
            "ssim": ssim,
            "recipe_hash": self.recipe.sha256(),
        }

    def save(self, path: Path, seconds: float) -> None:
        """Everything that ``load`` needs to go on as if nothing had happened."""
        precision = self.fabric._precision
        save_checkpoint(
            path,
            {
                "model": _on_cpu(self.model.module),
                "average": _on_cpu(self.average),
                "optimizer": self.optimizer.state_dict(),
                "scaler": precision.state_dict(),
                "torch_rng": torch.get_rng_state(),
                "numpy_rng": json.dumps(self.rng.bit_generator.state),
                "step": self.step,
                "best": self.best,
                "seconds": self.seconds + seconds,
            },
        )

    def load(self, path: Path) -> None:
        state = load_checkpoint(path)
        try:
            restore(self.model.module, state["model"], path)
            restore(self.average, state["average"], path)
            self.optimizer.load_state_dict(state["optimizer"])
            self.fabric._precision.load_state_dict(state["scaler"])
            torch.set_rng_state(state["torch_rng"])
            self.rng.bit_generator.state = json.loads(state["numpy_rng"])
            self.step, self.best, self.seconds = state["step"], state["best"], state["seconds"]
        except KeyError as error:
            raise DataError(f"{path} cannot be resumed: it lacks {error}; start without --resume") from None


def schedule(step: int, table: TrainTable) -> float:
    """Factor on the learning rate at a step: linear warm-up, then half a cosine (Loshchilov & Hutter, ICLR 2017)."""
    if step < table.warmup:
        return (step + 1) / table.warmup
    done = (step - table.warmup) / max(1, table.steps - table.warmup)
    return table.final_fraction + (1 - table.final_fraction) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


@contextmanager
def _resumable_failures() -> Iterator[None]:
    """What a GPU or another process may do to a step; torch has RuntimeError for all of it."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        if isinstance(error, torch.cuda.OutOfMemoryError):
            raise EdgereconError("the GPU is out of memory: lower train.batch or train.crop") from None
        if isinstance(error, torch.distributed.DistBackendError) or "gloo" in reason.lower():
            raise EdgereconError(f"another process of this run failed ({reason}): go on with --resume") from None
        if "CUDA" in reason:
            raise EdgereconError(f"the GPU failed ({reason}): go on with --resume") from None
        raise


def _on_cpu(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}


def _diverged(step: int, run_dir: Path) -> EdgereconError:
    kept = f"the last good checkpoint is {run_dir / LAST}" if (run_dir / LAST).exists() else "no checkpoint was written"
    return EdgereconError(f"training diverged at step {step} (non-finite loss): lower train.learning_rate; {kept}")

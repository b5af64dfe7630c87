"""The processes of one training run: this one alone, or all that torchrun started, on one machine or several.

Every process draws the same batch from the same generator and runs its own part of it through the network. The outputs
are gathered, so that each process computes the loss of the whole batch, pooled terms included, and knows the same
figure. A process's gradient is that of its own outputs; their sum is what one process would have found alone:

    ∂L/∂θ = Σ_r ∂L/∂o_r · ∂o_r/∂θ,      of which DDP gives the mean over r: the loss is scaled by their number.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from edgerecon.core.errors import EdgereconError, RecipeError, needed


def count() -> int:
    """How many processes train together; 1 outside torchrun."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def rank() -> int:
    """This process's number; 0 is the one that writes and shows."""
    return int(os.environ["RANK"]) if count() > 1 else 0


def open_fabric(accelerator: str, precision: str) -> Any:
    """A ``lightning_fabric.Fabric`` over all processes, ready: gloo between CPUs, NCCL between GPUs.

    Raises:
        EdgereconError: no such accelerator, or fewer GPUs than processes. DependencyError: no lightning-fabric.
    """
    with needed("train", "lightning-fabric"):
        from lightning_fabric import Fabric
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    here = int(os.environ["LOCAL_WORLD_SIZE"]) if count() > 1 else 1
    try:
        fabric = Fabric(
            accelerator=accelerator,
            devices=here,
            num_nodes=count() // here,
            precision=precision,  # type: ignore[arg-type]
            strategy="ddp" if count() > 1 else "auto",
        )
        fabric.launch()
    except (RuntimeError, ValueError, ImportError) as error:
        processes = f" in {count()} processes" if count() > 1 else ""
        raise EdgereconError(f"cannot train on '{accelerator}'{processes}: {str(error).splitlines()[0]}") from None
    return fabric


def part(batch: int) -> slice:
    """Which crops of a batch are this process's.

    Raises:
        RecipeError: the batch does not divide among the processes.
    """
    if batch % count():
        raise RecipeError(f"train.batch: {batch} crops do not divide among {count()} processes: choose a multiple")
    share = batch // count()
    return slice(rank() * share, (rank() + 1) * share)


def gather(fabric: Any, output: Any) -> Any:
    """The outputs of the whole batch; gradients pass through this process's own."""
    if count() == 1:
        return output
    parts = list(fabric.all_gather(output.detach()))
    parts[rank()] = output
    import torch

    return torch.cat(parts)


def any_process(fabric: Any, here: bool) -> bool:
    """Whether something is so in any process; every one gets the same answer."""
    if count() == 1:
        return here
    import torch

    return bool(fabric.all_reduce(torch.tensor(float(here), device=fabric.device), reduce_op="sum") > 0)


def end() -> None:
    """Part from the others, once all of them are done."""
    import torch.distributed as group

    if count() > 1 and group.is_initialized():
        group.barrier()
        group.destroy_process_group()

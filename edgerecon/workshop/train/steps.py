"""One optimiser step, supervised or adversarial, behind one small interface that a training loop drives.

``Supervised`` lowers one loss. ``Adversarial`` trains a generator G against a discriminator D, which returns logits
(N×1, or N×1×h×w for one that judges patches, Isola et al., CVPR 2017):

    plain          L_D = −E log σ(D(y)) − E log(1 − σ(D(G(x)))),   L_G = content + w·(−E log σ(D(G(x))))
    relativistic   D(a, b) = D(a) − E D(b) in place of D(a), and G is judged on both terms

plain: Goodfellow et al., NeurIPS 2014, with the generator's loss that does not saturate. relativistic average:
Jolicoeur-Martineau, ICLR 2019, as in ESRGAN (Wang et al., ECCV Workshops 2018).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Batch = tuple[Tensor, ...]
Loss = Callable[..., Tensor]
"""Called with (output, *batch); returns a scalar."""


class Step(Protocol):
    """What a training loop asks of a way to train."""

    network: nn.Module

    def learn(self, batch: Batch, rate: float) -> float:
        """One step at a learning rate; returns the loss that is shown, which is NaN or infinite when it diverged."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """The weights and the optimisers' states, as a checkpoint keeps them."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what ``state_dict`` returned. Raises KeyError or RuntimeError where it is of another network."""
        ...


class Supervised:
    """``loss(network(batch[0]), *batch)`` under Adam, gradients clipped to norm 1.

    Args:
        half: compute in bf16 where the device is a GPU or a CPU with AMX (mixed precision; weights stay in 32 bits).
    """

    def __init__(self, network: nn.Module, loss: Loss, *, half: bool = True, weight_decay: float = 0.0) -> None:
        self.network, self.loss, self.half = network, loss, half
        self.optimizer = torch.optim.AdamW(network.parameters(), weight_decay=weight_decay)

    def learn(self, batch: Batch, rate: float) -> float:
        self.network.train()
        with _mixed(batch[0], self.half):
            output = self.network(batch[0])
        loss = self.loss(_whole(output), *batch)
        _descend(self.optimizer, loss, rate)
        return float(loss.detach())

    def state_dict(self) -> dict[str, Any]:
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])


class Adversarial:
    """A generator and a discriminator, one Adam step each a batch (input, real, …).

    Args:
        content: loss of the output beside the adversarial one, called with (output, *batch).
        weight: of the adversarial loss. relativistic: see the head of this file.
        judged: what the discriminator sees of an image, called with (image, *batch); default: the image.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        content: Loss,
        *,
        weight: float,
        relativistic: bool = False,
        judged: Loss | None = None,
        half: bool = True,
    ) -> None:
        self.network, self.discriminator, self.content = generator, discriminator, content
        self.weight, self.relativistic, self.half = weight, relativistic, half
        self.judged = judged or (lambda image, *batch: image)
        self.optimizer = torch.optim.AdamW(generator.parameters(), betas=(0.9, 0.99), weight_decay=0.0)
        self.other = torch.optim.AdamW(discriminator.parameters(), betas=(0.5, 0.99), weight_decay=0.0)

    def learn(self, batch: Batch, rate: float) -> float:
        self.network.train()
        self.discriminator.train().requires_grad_(False)
        with _mixed(batch[0], self.half):
            output = self.network(batch[0])
            fake = self.discriminator(self.judged(output, *batch))
            real = self.discriminator(self.judged(batch[1], *batch)) if self.relativistic else None
        judged = self._generator_loss(_whole(fake), None if real is None else _whole(real))
        loss = self.content(_whole(output), *batch) + self.weight * judged
        _descend(self.optimizer, loss, rate)
        self.discriminator.requires_grad_(True)
        with _mixed(batch[0], self.half):
            fake = self.discriminator(self.judged(output.detach(), *batch))
            real = self.discriminator(self.judged(batch[1], *batch))
        against = self._discriminator_loss(_whole(fake), _whole(real))
        _descend(self.other, against, rate)
        return float(loss.detach()) if torch.isfinite(against) else float("nan")

    def _generator_loss(self, fake: Tensor, real: Tensor | None) -> Tensor:
        if real is None:
            return _towards(fake, 1.0)
        return 0.5 * (_towards(fake - real.mean(), 1.0) + _towards(real - fake.mean(), 0.0))

    def _discriminator_loss(self, fake: Tensor, real: Tensor) -> Tensor:
        if self.relativistic:
            return 0.5 * (_towards(real - fake.mean(), 1.0) + _towards(fake - real.mean(), 0.0))
        return 0.5 * (_towards(real, 1.0) + _towards(fake, 0.0))

    def state_dict(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "other": self.other.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.discriminator.load_state_dict(state["discriminator"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.other.load_state_dict(state["other"])


def _towards(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def _mixed(example: Tensor, half: bool) -> torch.autocast:
    device = example.device.type
    return torch.autocast(device, dtype=torch.bfloat16, enabled=half and (device == "cuda" or multiplies_bf16()))


@cache
def multiplies_bf16() -> bool:
    """Whether this CPU has AMX tiles for bf16, in which a step takes less time; other CPUs compute in fp32."""
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def _whole(output: Any) -> Any:
    """Losses are taken in 32 bits."""
    return output.float() if isinstance(output, Tensor) else output


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 1.0)
    optimizer.step()

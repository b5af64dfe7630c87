"""What training, export and compression ask of every network."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor, nn


class Network(nn.Module, ABC):
    """N×1×H×W float32 in [0, 1] → N×1×(H·scale)×(W·scale), not clipped; any H, W ≥ 1.

    Attributes:
        scale: output size over input size. size_multiple: H and W that ``core`` accepts are multiples of it.
        input_channels: of x, where it is no picture; twice the parts of an aperture, whose F-number is ``f_number``.
        fixed_output: (1, K) for a network that gives N×1×1×K in [0, 1] whatever the size, e.g. probabilities.
    """

    scale: int = 1
    size_multiple: int = 1
    fixed_output: tuple[int, int] | None = None
    input_channels: int = 1
    f_number: float = 0.0

    def shown(self, output: Tensor) -> Tensor:
        """What came out, as a picture: the loss and the validation look at that."""
        return output

    def before(self, x: Tensor) -> Tensor:
        """The picture without the network, as it is shown: what has to be improved on."""
        return x

    @property
    @abstractmethod
    def receptive_field(self) -> int:
        """Side in input pixels of the square that one output pixel depends on."""

    @abstractmethod
    def macs_per_pixel(self) -> float:
        """Multiply-accumulates for one input pixel, away from the border."""

    @abstractmethod
    def core(self, x: Tensor) -> Tensor:
        """The part that is exported: no padding, H and W in multiples of ``size_multiple``."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        padded = self.padded(x)
        found = self.core(padded)
        whole = padded is x or self.fixed_output is not None
        return found if whole else found[..., : height * self.scale, : width * self.scale]

    def padded(self, x: Tensor) -> Tensor:
        """Edges repeated up to the next multiples of ``size_multiple``; x itself where nothing is missing."""
        right, below = (-side % self.size_multiple for side in (x.shape[-1], x.shape[-2]))
        return F.pad(x, (0, right, 0, below), mode="replicate") if right or below else x

    def count_parameters(self) -> int:
        """Number of trained values."""
        return sum(parameter.numel() for parameter in self.parameters())

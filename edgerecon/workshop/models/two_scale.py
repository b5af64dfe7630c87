"""two_scale: the compact network with a second scale, for grains and structures that half resolution sees too narrowly.

    h = ρ(f_2(ρ(f_1(U(x)))))                       at half resolution, U the pixel-unshuffle ×2
    t = ρ(d(h)),   t ← t + ρ(g_k(t))  for each k    at quarter resolution, twice the channels
    y = x + S(f_4(ρ(f_3(h + u(t)))))               back at half resolution, S the pixel-shuffle

f and g are conv3×3 with bias, d a 2×2 convolution of stride 2, u its transpose, ρ the ReLU. A layer at quarter
resolution sees four times as far as one on pixels, for a sixteenth of its cost at the same channels; u-shaped networks
(Ronneberger et al., MICCAI 2015) and wavelet ones (Liu et al., CVPR Workshops 2018) rest on that. Residual layers keep
the coarse path trainable (He et al., CVPR 2016).

Width 16 and depth 2 give 28 300 parameters, 2 848 multiply-accumulates a pixel and a receptive field of 48×48 pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from edgerecon.workshop.models.family import Dilations, Family, Params, Width
from edgerecon.workshop.models.network import Network

FINE_DILATION = 2
"""Of f_3: it merges what both scales know, in a window as wide as two quarter-resolution cells on either side."""


class TwoScale(Network):
    """N×1×H×W in [0, 1] → N×1×H×W, not clipped.

    The last convolution starts at zero, so that an untrained network is the identity.

    Args:
        width: channels at half resolution; twice as many at quarter resolution.
        depth: convolutions at quarter resolution, at least 1. dilations: of each of them; empty: 1 for all.
    """

    scale = 1
    size_multiple = 4

    def __init__(self, width: int = 16, depth: int = 2, dilations: Sequence[int] = ()) -> None:
        super().__init__()
        if width < 1 or depth < 1:
            raise ValueError(f"width and depth must be at least 1, not {width} and {depth}")
        self.dilations = tuple(dilations) or (1,) * depth
        if len(self.dilations) != depth or min(self.dilations) < 1:
            raise ValueError(f"dilations must be {depth} numbers from 1 on, not {list(dilations)}")
        self.first = nn.ModuleList([_conv3x3(4, width), _conv3x3(width, width)])
        self.down = nn.Conv2d(width, 2 * width, 2, stride=2)
        self.coarse = nn.ModuleList(_conv3x3(2 * width, 2 * width, dilation) for dilation in self.dilations)
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.merge = _conv3x3(width, width, FINE_DILATION)
        self.last = _conv3x3(width, 4)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.last.weight)

    @property
    def receptive_field(self) -> int:
        """Seven half-resolution cells around the output's lie in four coarse cells; those see 2·Σd more."""
        coarse = 4 + 2 * sum(self.dilations)
        return 2 * (2 * coarse + 4)

    def macs_per_pixel(self) -> float:
        """Each weight is used once for every cell of 2×2 pixels, or of 4×4 on the coarse scale."""
        fine = (*self.first, self.merge, self.last)
        coarse = (self.down, *self.coarse, self.up)
        return sum(_weights(layer) for layer in fine) / 4 + sum(_weights(layer) for layer in coarse) / 16

    def core(self, x: Tensor) -> Tensor:
        """The exported graph: H and W in multiples of 4."""
        h = F.pixel_unshuffle(x, 2)
        if not torch.compiler.is_exporting() and x.device.type == "cpu":
            h = h.contiguous(memory_format=torch.channels_last)  # faster in oneDNN, see ``compact``
        for layer in self.first:
            h = F.relu(layer(h))
        t = F.relu(self.down(h))
        for layer in self.coarse:
            t = t + F.relu(layer(t))
        h = F.relu(self.merge(h + self.up(t)))
        return x + F.pixel_shuffle(self.last(h), 2)


def _conv3x3(before: int, after: int, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=dilation, dilation=dilation)


def _weights(layer: nn.Module) -> int:
    return layer.weight.numel()  # type: ignore[operator]


class TwoScaleParams(Params):
    """See ``TwoScale``."""

    width: Width = 16
    depth: int = Field(default=2, ge=1, le=64)
    dilations: Dilations = ()


FAMILY = Family(name="two_scale", params=TwoScaleParams, build=TwoScale)

"""inpainting: a gated, dilated encoder–decoder that fills holes and leaves everything else as it is.

    m = min(510·x, 1),   y = m·x + (1 − m)·(P(x, m) + G(x, m)),   each layer of G:  ρ(a ∗ z)·σ(b ∗ z)

    P = Σ_i w_i·A_i(m·x) / Σ_i w_i·A_i(m),   A_i: means over small windows, then, for a tenth, over large ones

P is what partial convolutions of equal weights (Liu et al., ECCV 2018) fill a hole with, the mean of what is known
around it, so that G learns the rest. A hole is where the frame is exactly 0; whatever is known must be at least 1/255,
one grey level of 8 bits (see ``degrade.known``), so that the mask m is 1 there and needs no second input. Gated
convolutions let each layer weigh what is known (Yu et al., ICCV 2019), dilated ones at a quarter of the size see around
a hole (Iizuka et al., ACM TOG 36(4), 2017; Yu & Koltun, ICLR 2016). ρ is the leaky ReLU, σ the logistic function. The
frame is read and written through pixel-unshuffle ×2 and its inverse; a stride-2 convolution leads to the quarter size,
a transposed one back, and the half size's features join by concatenation.

Width 16 gives 97 492 parameters, 8 336 multiply-accumulates a pixel and a receptive field of 138×138 pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgerecon.workshop.models.family import Family, Params, Width
from edgerecon.workshop.models.network import Network

FACTOR = 2
CHANNELS = FACTOR * FACTOR
DILATIONS = (1, 2, 4, 8)
WINDOWS = ((3, 3, 1.0), (11, 2, 0.1))
"""Side of a mean's window in pixels, how often it is taken, and its weight."""


class Inpainting(Network):
    """N×1×H×W in [0, 1], 0 in the holes → N×1×H×W, not clipped; any H, W ≥ 1: padded by edge replication and cropped.

    Args:
        width: channels at half size; twice as many at a quarter of the size.
    """

    scale = 1
    size_multiple = 4

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"width must be at least 1, not {width}")
        self.first = Gated(2 * CHANNELS, width)
        self.down = Gated(width, 2 * width, stride=2)
        self.middle = nn.Sequential(*(Gated(2 * width, 2 * width, dilation=dilation) for dilation in DILATIONS))
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.join = Gated(2 * width, width)
        self.last = nn.Conv2d(width, CHANNELS, 3, padding=1)

    @property
    def receptive_field(self) -> int:
        """From the output back, in cells of 2 pixels: two layers, the quarter size's dilated ones, down, and first."""
        low, high = -2, 2
        low, high = low // 2 - sum(DILATIONS), high // 2 + sum(DILATIONS)
        low, high = 2 * low - 1 - 1, 2 * high + 1 + 1
        return FACTOR * (high - low + 1)

    def macs_per_pixel(self) -> float:
        """Each weight is used once a position of its level: half the size (4 pixels) or a quarter (16)."""
        quarter = _weights(self.down) + _weights(self.middle) + _weights(self.up)
        return (_weights(self.first) + _weights(self.join) + _weights(self.last)) / 4 + quarter / 16

    def core(self, x: Tensor) -> Tensor:
        """The exported graph: H and W must be multiples of 4."""
        known = (x * 510).clamp(max=1.0)
        cells = F.pixel_unshuffle(x, FACTOR)
        half = self.first(torch.cat([cells, (cells * 510).clamp(max=1.0)], dim=1))
        z = self.up(self.middle(self.down(half)))
        filled = F.pixel_shuffle(self.last(self.join(torch.cat([half, z], dim=1))), FACTOR)
        return known * x + (1 - known) * (mean_of_known(x, known) + filled)


def mean_of_known(x: Tensor, known: Tensor) -> Tensor:
    """P of the heading, N×1×H×W. known: 1 where x is, 0 in holes. 0 where nothing is known within ten pixels."""
    both, total = torch.cat([known * x, known], dim=1), torch.zeros_like(x)
    for side, times, weight in WINDOWS:
        mean = both
        for _ in range(times):
            mean = F.avg_pool2d(mean, side, stride=1, padding=side // 2)
        total = total + weight * mean
    return total[:, :1] / total[:, 1:].clamp_min(1e-6)


class Gated(nn.Module):
    """ρ(a ∗ z)·σ(b ∗ z) by conv3×3: (N, before, H, W) → (N, after, H/stride, W/stride)."""

    def __init__(self, before: int, after: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.feature = nn.Conv2d(before, after, 3, stride, dilation, dilation)
        self.gate = nn.Conv2d(before, after, 3, stride, dilation, dilation)

    def forward(self, z: Tensor) -> Tensor:
        return F.leaky_relu(self.feature(z), 0.2) * torch.sigmoid(self.gate(z))


def _weights(part: nn.Module) -> int:
    return sum(p.numel() for name, p in part.named_parameters() if name.endswith("weight"))


class InpaintingParams(Params):
    """See ``Inpainting``."""

    width: Width = 16


FAMILY = Family(name="inpainting", params=InpaintingParams, build=Inpainting)

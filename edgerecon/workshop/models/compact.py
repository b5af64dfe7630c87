"""compact: a residual network that works at half resolution.

    y = x + S(f_D(… ρ(f_2(ρ(f_1(U(x)))))))

U is pixel-unshuffle ×2 (1 → 4 channels at half size), each f a conv3×3 with bias, ρ the ReLU, and S pixel-shuffle
(Shi et al., CVPR 2016, the sub-pixel convolution; U is its inverse, as in FFDNet, Zhang et al., IEEE TIP 2018). The
residual form follows DnCNN (Zhang et al., IEEE TIP 2017). Working at half resolution doubles the receptive field for a
quarter of the cost a layer. There is no batch normalisation, hence nothing to fold.

Width 16 and depth 6 give 10 452 parameters, 2 592 multiply-accumulates a pixel and a receptive field of 26×26 pixels.
Dilated layers (Yu & Koltun, ICLR 2016) widen it at no cost: speckle grains of real frames are some 10 pixels wide, and
a window of two or three grains tells little of what lies behind them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from edgerecon.workshop.models.family import Dilations, Family, Params, Width
from edgerecon.workshop.models.network import Network

FACTOR = 2
CHANNELS = FACTOR * FACTOR


class Compact(Network):
    """N×1×H×W in [0, 1] → N×1×H×W, not clipped. Any H, W ≥ 1: odd sizes are padded by edge replication and cropped.

    The last convolution starts at zero, so that an untrained network is the identity.

    Args:
        width: channels of the hidden layers. depth: number of convolutions, at least 2.
        dilations: of each convolution, in cells of 2×2 pixels; empty: 1 for all.
        channels: what each convolution but the last puts out; empty: width for all.
    """

    scale = 1
    size_multiple = FACTOR

    def __init__(
        self, width: int = 16, depth: int = 6, dilations: Sequence[int] = (), channels: Sequence[int] = ()
    ) -> None:
        super().__init__()
        if width < 1 or depth < 2:
            raise ValueError(f"width must be at least 1 and depth at least 2, not {width} and {depth}")
        self.dilations = tuple(dilations) or (1,) * depth
        if len(self.dilations) != depth or min(self.dilations) < 1:
            raise ValueError(f"dilations must be {depth} numbers from 1 on, not {list(dilations)}")
        hidden = list(channels) or [width] * (depth - 1)
        if len(hidden) != depth - 1 or min(hidden) < 1:
            raise ValueError(f"channels must be {depth - 1} numbers from 1 on, not {hidden}")
        ends = [CHANNELS, *hidden, CHANNELS]
        self.layers = nn.ModuleList(map(_conv3x3, ends[:-1], ends[1:], self.dilations))
        nn.init.zeros_(self.layers[-1].weight)  # type: ignore[arg-type]

    @property
    def channels(self) -> tuple[int, ...]:
        """What each convolution but the last puts out: pruned layers differ."""
        return tuple(len(layer.weight) for layer in self.layers[:-1])  # type: ignore[arg-type]

    @property
    def receptive_field(self) -> int:
        """A cell of 2 pixels, and two more for each step of dilation."""
        return FACTOR * (1 + 2 * sum(self.dilations))

    def macs_per_pixel(self) -> float:
        """Each weight is used once for every cell of 2×2 pixels."""
        weights = (p.numel() for name, p in self.layers.named_parameters() if name.endswith("weight"))
        return sum(weights) / CHANNELS

    def core(self, x: Tensor) -> Tensor:
        """The exported graph: H and W must be even."""
        z = F.pixel_unshuffle(x, FACTOR)
        if not torch.compiler.is_exporting() and x.device.type == "cpu":
            # 1.2 to 3.5 times as fast as the default layout in oneDNN on AVX2, forward and backward together.
            z = z.contiguous(memory_format=torch.channels_last)
        for layer in self.layers[:-1]:
            z = F.relu(layer(z))
        return x + F.pixel_shuffle(self.layers[-1](z), FACTOR)


def _conv3x3(before: int, after: int, dilation: int) -> nn.Conv2d:
    layer = nn.Conv2d(before, after, 3, padding=dilation, dilation=dilation)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


class CompactParams(Params):
    """See ``Compact``."""

    width: Width = 16
    depth: int = Field(default=6, ge=2, le=64)
    dilations: Dilations = ()
    channels: tuple[Width, ...] = ()


FAMILY = Family(name="compact", params=CompactParams, build=Compact)

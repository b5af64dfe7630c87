"""dncnn: a residual restoration network with batch normalisation and dilated layers.

    y = x − S(f_D(ρ(β_{D−1}(f_{D−1}(… ρ(β_2(f_2(ρ(f_1(U(x)))))))))))

f is a dilated conv3×3, β batch normalisation, ρ the ReLU: the network estimates what disturbs the frame, not the frame
(DnCNN: Zhang et al., IEEE TIP 26(7), 2017). The dilations 1, 2, 3, 4, 3, 2, 1 are those of its successor for all kinds
of degradation (IRCNN: Zhang et al., CVPR 2017). U is pixel-unshuffle ×2 and S pixel-shuffle, which double the view for
a quarter of the cost a layer (FFDNet: Zhang et al., IEEE TIP 27(9), 2018).

Width 32 and the seven dilated layers give 48 740 parameters, 12 096 multiply-accumulates a pixel and a receptive field
of 66×66 pixels. Batch normalisation is folded into the convolutions when the network is exported.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from edgerecon.workshop.models.family import Dilation, Family, Params, Width
from edgerecon.workshop.models.network import Network

FACTOR = 2
CHANNELS = FACTOR * FACTOR
DILATIONS = (1, 2, 3, 4, 3, 2, 1)


class DnCNN(Network):
    """N×1×H×W in [0, 1] → N×1×H×W, not clipped. Any H, W ≥ 1: odd sizes are padded by edge replication and cropped.

    The last convolution starts at zero, so that an untrained network is the identity.

    Args:
        width: channels of the hidden layers. dilations: of each convolution, in cells of 2×2 pixels; at least two.
    """

    scale = 1
    size_multiple = FACTOR

    def __init__(self, width: int = 32, dilations: Sequence[int] = DILATIONS) -> None:
        super().__init__()
        if width < 1 or len(dilations) < 2 or min(dilations) < 1:
            raise ValueError(f"width must be at least 1 and dilations two numbers from 1 on, not {width}, {dilations}")
        self.dilations = tuple(dilations)
        first, *middle, last = self.dilations
        layers: list[nn.Module] = [_conv(CHANNELS, width, first, bias=True), nn.ReLU()]
        for dilation in middle:
            layers += [_conv(width, width, dilation, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        self.last = _conv(width, CHANNELS, last, bias=True)
        nn.init.zeros_(self.last.weight)
        self.noise = nn.Sequential(*layers, self.last)

    @property
    def receptive_field(self) -> int:
        """A cell of 2 pixels, and two more for each step of dilation."""
        return FACTOR * (1 + 2 * sum(self.dilations))

    def macs_per_pixel(self) -> float:
        """Each weight is used once for every cell of 2×2 pixels; normalisation folds into the convolutions."""
        return sum(part.weight.numel() for part in self.noise if isinstance(part, nn.Conv2d)) / CHANNELS

    def core(self, x: Tensor) -> Tensor:
        """The exported graph: H and W must be even."""
        return x - F.pixel_shuffle(self.noise(F.pixel_unshuffle(x, FACTOR)), FACTOR)


def _conv(before: int, after: int, dilation: int, *, bias: bool) -> nn.Conv2d:
    layer = nn.Conv2d(before, after, 3, padding=dilation, dilation=dilation, bias=bias)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class DnCNNParams(Params):
    """See ``DnCNN``."""

    width: Width = 32
    dilations: tuple[Dilation, ...] = Field(default=DILATIONS, min_length=2)


FAMILY = Family(name="dncnn", params=DnCNNParams, build=DnCNN)

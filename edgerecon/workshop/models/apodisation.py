"""apodisation: weighs the parts of the aperture pixel by pixel, in the way of ABLE.

With x_k the sum over the k-th of K parts of a pixel's aperture, s = Σ x_k (delay-and-sum) and p = Σ |x_k|²,

    z_k = x_k · s̄ / (|s| √p),    y = g · |Σ (1 + w_k − w̄) x_k|,    (w, g) = f(z, log p − mean of log p around)

f sees how the parts agree, whatever their phase and gain, and how bright the pixel is among its neighbours; so y is
homogeneous: twice the echoes make twice the picture. The complex weights add up to K, as those of delay-and-sum do, so
that what all parts agree on passes as it is (the condition of minimum variance); g is a post-filter, as the coherence
factor is one. f is a convolution 1×1, ``depth`` of 3×3 with dilations, and 1×1, with ReLU between; its last layer
starts at zero, so that an untrained network is delay-and-sum.

Luijten et al., IEEE TMI 39(12), 2020 (ABLE); Synnevåg et al., IEEE TUFFC 54(8), 2007.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from edgerecon.workshop.models.family import Dilations, Family, Params, Width
from edgerecon.workshop.models.network import Network

AROUND = (15, 31)
"""Rows and columns over which brightness is averaged."""
_LEAST = 1e-14  # power: the input's white is 1
_LOG_SCALE = 0.25
_GAIN = (-5.0, 0.7)  # natural logarithm of the post-filter's amplitude
_RANGE_DB = 60.0  # of the picture that is learnt from
_BELOW_BLACK = 0.05  # darker than black is as good as black, but for a slope that leads out of it


class Apodisation(Network):
    """N×2K×H×W, real parts and then imaginary parts → N×1×H×W amplitude, not clipped. Any H, W ≥ 1.

    Args:
        parts: K. width: channels of the hidden layers. depth: 3×3 convolutions. dilations: of each of them.
        post_filter: whether there is a g; else it is 1. f_number: of the aperture whose parts go in.
    """

    def __init__(
        self,
        parts: int = 8,
        width: int = 20,
        depth: int = 3,
        dilations: Sequence[int] = (1, 2, 4),
        post_filter: bool = True,
        f_number: float = 1.25,
    ) -> None:
        super().__init__()
        self.parts, self.post_filter = parts, post_filter
        self.dilations = tuple(dilations) or (1,) * depth
        if len(self.dilations) != depth:
            raise ValueError(f"dilations must be {depth} numbers, not {list(dilations)}")
        self.input_channels, self.f_number = 2 * parts, f_number
        self.first = _conv(2 * parts + 1, width, 1, 1)
        self.layers = nn.ModuleList(_conv(width, width, 3, dilation) for dilation in self.dilations)
        self.last = _conv(width, 2 * parts + post_filter, 1, 1)
        nn.init.zeros_(self.last.weight)

    @property
    def receptive_field(self) -> int:
        """Of the network or of the average around, whichever is wider."""
        return max(1 + 2 * sum(self.dilations), *AROUND)

    def macs_per_pixel(self) -> float:
        """Each weight is used once for every pixel."""
        return float(sum(p.numel() for name, p in self.named_parameters() if name.endswith("weight")))

    def shown(self, output: Tensor) -> Tensor:
        """Log-compressed: 1 is an amplitude of 1, 0 is ``_RANGE_DB`` below it."""
        return F.leaky_relu(1 + 20 / _RANGE_DB * torch.log10(output.clamp_min(1e-9)), _BELOW_BLACK).clamp_max(1)

    def before(self, x: Tensor) -> Tensor:
        """Delay-and-sum."""
        real, imag = x[:, : self.parts].sum(1, keepdim=True), x[:, self.parts :].sum(1, keepdim=True)
        return self.shown(torch.sqrt(real * real + imag * imag)).clamp(0, 1)

    def core(self, x: Tensor) -> Tensor:
        """The exported graph."""
        real, imag = x[:, : self.parts], x[:, self.parts :]
        sum_real, sum_imag = real.sum(1, keepdim=True), imag.sum(1, keepdim=True)
        # Clamped: the exporter takes the sum with so small a number for one with 0, and leaves it out.
        power = (real * real + imag * imag).sum(1, keepdim=True).clamp_min(_LEAST)
        scale = torch.rsqrt((sum_real * sum_real + sum_imag * sum_imag).clamp_min(_LEAST) * power)
        cosine, sine = sum_real * scale, sum_imag * scale
        turned = torch.cat([real * cosine + imag * sine, imag * cosine - real * sine], 1)
        level = torch.log(power)
        around = level
        for size in ((AROUND[0], 1), (1, AROUND[1])):  # one after the other: the same mean for a tenth of the sums
            around = F.avg_pool2d(around, size, 1, (size[0] // 2, size[1] // 2), count_include_pad=False)
        z = F.relu(self.first(torch.cat([turned, (level - around) * _LOG_SCALE], 1)))
        for layer in self.layers:
            z = F.relu(layer(z))
        found = self.last(z)
        w_real, w_imag = found[:, : self.parts], found[:, self.parts : 2 * self.parts]
        w_real = 1 + w_real - w_real.mean(1, keepdim=True)
        w_imag = w_imag - w_imag.mean(1, keepdim=True)
        a, b = turned[:, : self.parts], turned[:, self.parts :]
        y_real = (w_real * a - w_imag * b).sum(1, keepdim=True)
        y_imag = (w_real * b + w_imag * a).sum(1, keepdim=True)
        amplitude = torch.sqrt((y_real * y_real + y_imag * y_imag).clamp_min(_LEAST) * power)
        if not self.post_filter:
            return amplitude
        return amplitude * torch.exp(found[:, 2 * self.parts :].clamp(*_GAIN))


def _conv(before: int, after: int, size: int, dilation: int) -> nn.Conv2d:
    layer = nn.Conv2d(before, after, size, padding=size // 2 * dilation, dilation=dilation)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


class ApodisationParams(Params):
    """See ``Apodisation``."""

    parts: int = Field(default=8, ge=2, le=32)
    width: Width = 20
    depth: int = Field(default=3, ge=1, le=16)
    dilations: Dilations = (1, 2, 4)
    post_filter: bool = True
    f_number: float = Field(default=1.25, gt=0, le=20)


FAMILY = Family(name="apodisation", params=ApodisationParams, build=Apodisation)

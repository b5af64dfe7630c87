"""rrdb: residual-in-residual dense blocks without batch normalisation; the generator of ESRGAN.

    h = C(x),   t = h + C(R_D(… R_1(h))),   R(z) = z + β·D(D(D(z))),   y = E(x) + C(λ(C(U(… U(t)))))
    D(z) = z + β·C([z, z_1, z_2, z_3, z_4]),   z_i = λ(C([z, z_1, …, z_{i−1}])),   β = 0.2

C is a conv3×3, λ the leaky ReLU of slope 0.2, [·] concatenation, U = λ∘C∘N with N the enlargement by two to nearest
pixels (Wang et al., ESRGAN, ECCV Workshops 2018: 23 blocks, width 64, growth 32, weights at a tenth of their usual
size). E(x), the image enlarged by cubic convolution, is added, which the paper does not: see ``srresnet``.

Width 64, growth 32 and 23 blocks at ×2: 16.7 million parameters, 16.9 million multiply-accumulates an input pixel and a
receptive field of 698×698 input pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from edgerecon.workshop.models.enlarge import Bicubic
from edgerecon.workshop.models.family import Doubling, Family, Params, Width
from edgerecon.workshop.models.network import Network

BETA, SLOPE = 0.2, 0.2
DENSE = 5
"""Convolutions of a dense block."""
IN_A_BLOCK = 3
"""Dense blocks of a residual-in-residual one."""


class RRDB(Network):
    """N×1×H×W in [0, 1] → N×1×(H·scale)×(W·scale), not clipped; any H, W ≥ 1. Untrained, it is the enlargement E.

    Args:
        scale: 2 or 4. width: channels. growth: channels that a layer of a dense block adds. blocks: R in the formula.
    """

    def __init__(self, scale: int = 2, width: int = 64, growth: int = 32, blocks: int = 23) -> None:
        super().__init__()
        if scale not in (2, 4) or min(width, growth, blocks) < 1:
            raise ValueError(
                f"scale must be 2 or 4, width, growth and blocks at least 1, not {scale}, {width}, {growth}, {blocks}"
            )
        self.scale = scale
        self.enlarge = Bicubic(scale)
        self.first = _conv3x3(1, width)
        self.body = nn.Sequential(*(_Residual(width, growth) for _ in range(blocks)))
        self.after = _conv3x3(width, width)
        self.up = nn.ModuleList(_conv3x3(width, width) for _ in range(scale // 2))
        self.fine, self.last = _conv3x3(width, width), _conv3x3(width, 1)
        nn.init.zeros_(self.last.weight)

    @property
    def receptive_field(self) -> int:
        """See ``Network``."""
        return max(self._window(phase) for phase in range(self.scale))

    def _window(self, phase: int) -> int:
        """Input pixels, along an axis, that one output pixel depends on, followed back layer by layer."""
        low, high = phase - 2, phase + 2
        for _ in self.up:
            low, high = (low - 1) // 2, (high + 1) // 2
        reach = 1 + IN_A_BLOCK * DENSE * len(self.body) + 1
        return high - low + 1 + 2 * reach  # wider than what the enlarged image adds

    def macs_per_pixel(self) -> float:
        """Each weight is used once a position of its size."""
        small = sum(_weights(part) for part in (self.first, self.body, self.after))
        grown = sum(4 ** (level + 1) * _weights(up) for level, up in enumerate(self.up))
        full = self.scale**2 * (_weights(self.fine) + _weights(self.last))
        return float(small + grown + full + self.enlarge.macs_per_pixel())

    def core(self, x: Tensor) -> Tensor:
        """The exported graph: any H and W."""
        z = x
        if not torch.compiler.is_exporting() and x.device.type == "cpu":
            z = z.contiguous(memory_format=torch.channels_last)  # the faster layout in oneDNN on AVX2
        h = self.first(z)
        t = h + self.after(self.body(h))
        for up in self.up:
            t = _leaky(up(F.interpolate(t, scale_factor=2, mode="nearest")))
        return self.enlarge(x) + self.last(_leaky(self.fine(t)))


class _Residual(nn.Module):
    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(_Dense(width, growth) for _ in range(IN_A_BLOCK)))

    def forward(self, x: Tensor) -> Tensor:
        return x + BETA * self.layers(x)


class _Dense(nn.Module):
    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        outs = [growth] * (DENSE - 1) + [width]
        self.layers = nn.ModuleList(_conv3x3(width + i * growth, out) for i, out in enumerate(outs))

    def forward(self, x: Tensor) -> Tensor:
        found = x
        for layer in self.layers[:-1]:
            found = torch.cat([found, _leaky(layer(found))], dim=1)
        return x + BETA * self.layers[-1](found)


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, SLOPE)


def _conv3x3(before: int, after: int) -> nn.Conv2d:
    layer = nn.Conv2d(before, after, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight, a=SLOPE)
    layer.weight.data.mul_(0.1)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def _weights(part: nn.Module) -> int:
    return sum(layer.weight.numel() for layer in part.modules() if isinstance(layer, nn.Conv2d))


class RRDBParams(Params):
    """See ``RRDB``."""

    scale: Doubling = 2
    width: Width = 64
    growth: Width = 32
    blocks: int = Field(default=23, ge=1, le=256)


FAMILY = Family(name="rrdb", params=RRDBParams, build=RRDB)

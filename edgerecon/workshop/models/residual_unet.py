"""residual_unet: a U-Net with batch normalisation, in the variants that reconstruction papers compare.

    y = x + S(C(d_0)),   e_0 = F_0(U(x)),   e_i = F_i(D_i(e_{i−1})),   d_L = e_L,   d_i = G_i([a_i·e_i, T_i(d_{i+1})])

F and G are blocks (below), D a conv2×2 of stride 2, T its transpose, [·,·] the skip connection (Ronneberger et al.,
MICCAI 2015), C a conv3×3; U is pixel-unshuffle by ``factor`` and S its inverse (Shi et al., CVPR 2016), both left out
at factor 1. Level i works at 1/(factor·2^i) of the size on width·2^i channels. Blocks, K_r being a conv3×3 of dilation
r, B batch normalisation and ρ the ReLU:

    plain       ρ(B K_1 ρ(B K_1 z))
    residual    ρ(P z + B K_1 ρ(B K_1 z)),   P a conv1×1 or the identity (He et al., CVPR 2016; Zhang et al., GRSL 2018)
    separable   residual with depthwise conv3×3 and conv1×1 for each K (Howard et al., MobileNets, 2017)
    dilated     residual with K_2 as its second convolution (Yu & Koltun, ICLR 2016)

a_i is 1, or with ``attention`` the gate σ(ψ ρ(V e_i + W T_i(d_{i+1}))), one value a position (Oktay et al., MIDL 2018).
Batch normalisation is folded into the convolutions when the network is exported. Dropout acts on e_L, in training only.

The default (width 16, depth 3, residual, factor 2) has 634 388 parameters, 10 672 multiply-accumulates a pixel and a
receptive field of 200×200 pixels.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from edgerecon.workshop.models.family import Family, Params, Width
from edgerecon.workshop.models.network import Network

Block = Literal["plain", "residual", "separable", "dilated"]
BLOCKS: tuple[Block, ...] = get_args(Block)


class ResidualUNet(Network):
    """N×1×H×W in [0, 1] → N×1×H×W, not clipped. Any H, W ≥ 1: other sizes are padded by edge replication and cropped.

    The last convolution starts at zero, so that an untrained network is the identity.

    Args:
        width: channels of the first level. depth: how many times its size is halved, 1 to 6. block: of ``BLOCKS``.
        attention: gate the skip connections. dropout: share of the channels left out at the lowest level.
        factor: of the pixel-unshuffle, 1 for none.
    """

    scale = 1

    def __init__(
        self,
        width: int = 16,
        depth: int = 3,
        block: Block = "residual",
        attention: bool = False,
        dropout: float = 0.0,
        factor: int = 2,
    ) -> None:
        super().__init__()
        if width < 1 or not 1 <= depth <= 6:
            raise ValueError(f"width must be at least 1 and depth from 1 to 6, not {width} and {depth}")
        if block not in BLOCKS or not 0 <= dropout < 1 or factor < 1:
            raise ValueError(f"block must be one of {', '.join(BLOCKS)}, dropout in [0, 1) and factor at least 1")
        self.depth, self.factor, self.size_multiple = depth, factor, factor * 2**depth
        self.reach = (1, 2) if block == "dilated" else (1, 1)
        levels = [width << level for level in range(depth + 1)]
        self.encoder = nn.ModuleList(map(_block, [factor**2, *levels[1:]], levels, [block] * len(levels)))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in zip(levels, levels[1:], strict=False))
        upward = levels[-2::-1]
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * c, c, 2, stride=2) for c in upward)
        self.decoder = nn.ModuleList(_block(2 * c, c, block) for c in upward)
        self.attention = nn.ModuleList(AttentionGate(c) for c in upward) if attention else None
        self.dropout = nn.Dropout2d(dropout)
        self.last = nn.Conv2d(width, factor**2, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    @property
    def receptive_field(self) -> int:
        """Of the output pixel that sees most: pixels differ by where they lie in the grids of the lower levels."""
        return self.factor * max(self._window(position) for position in range(2**self.depth))

    def _window(self, position: int) -> int:
        """Side of what one position depends on, followed back layer by layer as first and last index."""
        reach = sum(self.reach)
        low, high = position - 1, position + 1
        skips = []
        for _ in range(self.depth):
            low, high = low - reach, high + reach
            skips.append((low, high))
            low, high = low // 2, high // 2
        low, high = low - reach, high + reach
        for skip in reversed(skips):
            low, high = 2 * low, 2 * high + 1
            low, high = min(low, skip[0]) - reach, max(high, skip[1]) + reach
        return high - low + 1

    def macs_per_pixel(self) -> float:
        """Each weight is used once a position of its level; those between two levels once a position of the lower."""
        levels = list(range(self.depth))
        parts: list[tuple[nn.Module, int]] = [(self.last, 0), *zip(self.encoder, [*levels, self.depth], strict=True)]
        parts += [(part, level + 1) for part, level in zip(self.down, levels, strict=True)]
        parts += [(part, level + 1) for part, level in zip(self.up, reversed(levels), strict=True)]
        parts += zip(self.decoder, reversed(levels), strict=True)
        if self.attention is not None:
            parts += zip(self.attention, reversed(levels), strict=True)
        return sum(_products(part) / 4**level for part, level in parts) / self.factor**2

    def core(self, x: Tensor) -> Tensor:
        """The exported graph: H and W must be multiples of factor·2^depth."""
        z = F.pixel_unshuffle(x, self.factor) if self.factor > 1 else x
        if not torch.compiler.is_exporting() and x.device.type == "cpu":
            z = z.contiguous(memory_format=torch.channels_last)  # a third faster in oneDNN on AVX2
        z = self.encoder[0](z)
        skips = []
        for down, block in zip(self.down, self.encoder[1:], strict=True):
            skips.append(z)
            z = block(down(z))
        z = self.dropout(z)
        for index, (up, block) in enumerate(zip(self.up, self.decoder, strict=True)):
            skip, z = skips.pop(), up(z)
            if self.attention is not None:
                skip = skip * self.attention[index](skip, z)
            z = block(torch.cat([skip, z], dim=1))
        z = self.last(z)
        return x + (F.pixel_shuffle(z, self.factor) if self.factor > 1 else z)


class AttentionGate(nn.Module):
    """σ(ψ ρ(V skip + W gate)): N×C×h×w twice → N×1×h×w in (0, 1); half as many channels between."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        between = max(1, channels // 2)
        self.skip = nn.Conv2d(channels, between, 1)
        self.gate = nn.Conv2d(channels, between, 1, bias=False)
        self.psi = nn.Conv2d(between, 1, 1)

    def forward(self, skip: Tensor, gate: Tensor) -> Tensor:
        return torch.sigmoid(self.psi(F.relu(self.skip(skip) + self.gate(gate))))


class _Residual(nn.Module):
    def __init__(self, before: int, after: int, separable: bool, dilation: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(before, after, 1, separable), nn.ReLU(), _conv(after, after, dilation, separable)
        )
        self.around = nn.Identity() if before == after else nn.Conv2d(before, after, 1)

    def forward(self, z: Tensor) -> Tensor:
        return F.relu(self.around(z) + self.body(z))


def _block(before: int, after: int, block: Block) -> nn.Module:
    if block == "plain":
        return nn.Sequential(_conv(before, after, 1, False), nn.ReLU(), _conv(after, after, 1, False), nn.ReLU())
    return _Residual(before, after, block == "separable", 2 if block == "dilated" else 1)


def _conv(before: int, after: int, dilation: int, separable: bool) -> nn.Sequential:
    """conv3×3 and batch normalisation, which makes a bias needless."""
    whole = [nn.Conv2d(before, after, 3, padding=dilation, dilation=dilation, bias=False)]
    if separable:
        whole = [
            nn.Conv2d(before, before, 3, padding=dilation, dilation=dilation, groups=before, bias=False),
            nn.Conv2d(before, after, 1, bias=False),
        ]
    for layer in whole:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return nn.Sequential(*whole, nn.BatchNorm2d(after))


def _products(part: nn.Module) -> int:
    """Weights of convolutions: normalisation is folded into them."""
    return sum(m.weight.numel() for m in part.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d))


class ResidualUNetParams(Params):
    """See ``ResidualUNet``."""

    width: Width = 16
    depth: int = Field(default=3, ge=1, le=6)
    block: Block = "residual"
    attention: bool = False
    dropout: float = Field(default=0.0, ge=0, lt=1)
    factor: int = Field(default=2, ge=1, le=16)


FAMILY = Family(name="residual_unet", params=ResidualUNetParams, build=ResidualUNet)

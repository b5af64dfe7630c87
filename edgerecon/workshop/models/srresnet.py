"""srresnet: residual blocks at the small size, then pixel-shuffles; the generator of SRGAN.

    h = P(C_9(x)),   t = B(C(R_D(… R_1(h)))) + h,   R(z) = z + B(C(P(B(C(z))))),   y = E(x) + C_9(U(… U(t)))

C is a conv3×3, C_9 a conv9×9, B batch normalisation, P the PReLU, U = P∘S∘C an enlargement by two: a conv to four times
the channels and pixel-shuffle S (Ledig et al., CVPR 2017: 16 blocks of 64 channels). The image enlarged by cubic
convolution, E(x), is added, as in VDSR (Kim et al., CVPR 2016), which the paper does not: an untrained network is then
the enlargement, and minutes of training suffice for a small one.

Width 64 and 16 blocks at ×2: 1.38 million parameters, 1.39 million multiply-accumulates an input pixel and a receptive
field of 81×81 input pixels.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from edgerecon.workshop.models.enlarge import Bicubic
from edgerecon.workshop.models.family import Doubling, Family, Params, Width
from edgerecon.workshop.models.network import Network


class SRResNet(Network):
    """N×1×H×W in [0, 1] → N×1×(H·scale)×(W·scale), not clipped; any H, W ≥ 1.

    Args:
        scale: 2 or 4. width: channels. blocks: residual blocks.
    """

    def __init__(self, scale: int = 2, width: int = 64, blocks: int = 16) -> None:
        super().__init__()
        if scale not in (2, 4) or width < 1 or blocks < 1:
            raise ValueError(f"scale must be 2 or 4, width and blocks at least 1, not {scale}, {width} and {blocks}")
        self.scale = scale
        self.enlarge = Bicubic(scale)
        self.first = nn.Sequential(nn.Conv2d(1, width, 9, padding=4), nn.PReLU())
        self.body = nn.Sequential(*(_Block(width) for _ in range(blocks)))
        self.after = nn.Sequential(_conv3x3(width, width), nn.BatchNorm2d(width))
        self.up = nn.Sequential(*(_doubled(width) for _ in range(scale // 2)))
        self.last = nn.Conv2d(width, 1, 9, padding=4)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    @property
    def receptive_field(self) -> int:
        """See ``Network``."""
        return max(self._window(phase) for phase in range(self.scale))

    def _window(self, phase: int) -> int:
        """Input pixels, along an axis, that one output pixel depends on, followed back layer by layer."""
        low, high = phase - 4, phase + 4
        for _ in self.up:
            low, high = low // 2 - 1, high // 2 + 1
        reach = 4 + 2 * len(self.body) + 1
        low, high = low - reach, high + reach
        return high - low + 1  # wider than what the enlarged image adds

    def macs_per_pixel(self) -> float:
        """Each weight is used once a position of its size; batch normalisation is part of the convolution before it."""
        small = _weights(self.first) + _weights(self.body) + _weights(self.after)
        grown = sum(4**level * _weights(up) for level, up in enumerate(self.up))
        return float(small + grown + self.scale**2 * self.last.weight.numel() + self.enlarge.macs_per_pixel())

    def core(self, x: Tensor) -> Tensor:
        """The exported graph: any H and W."""
        z = x
        if not torch.compiler.is_exporting() and x.device.type == "cpu":
            z = z.contiguous(memory_format=torch.channels_last)  # the faster layout in oneDNN on AVX2
        h = self.first(z)
        return self.enlarge(x) + self.last(self.up(self.after(self.body(h)) + h))


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _conv3x3(width, width), nn.BatchNorm2d(width), nn.PReLU(), _conv3x3(width, width), nn.BatchNorm2d(width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def _doubled(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2), nn.PReLU())


def _conv3x3(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1, bias=False)  # batch normalisation has the bias


def _weights(part: nn.Module) -> int:
    return sum(layer.weight.numel() for layer in part.modules() if isinstance(layer, nn.Conv2d))


class SRResNetParams(Params):
    """See ``SRResNet``."""

    scale: Doubling = 2
    width: Width = 64
    blocks: int = Field(default=16, ge=1, le=256)


FAMILY = Family(name="srresnet", params=SRResNetParams, build=SRResNet)

"""unet: a small residual U-Net.

    y = x + C(d_0),   e_0 = F_0(x),   e_i = F_i(D_i(e_{i−1})),   d_L = e_L,   d_i = G_i([e_i, U_i(d_{i+1})])

F and G are two conv3×3, each with ReLU, D a conv2×2 of stride 2 and U its transpose, [·,·] the skip connection by
concatenation (Ronneberger et al., MICCAI 2015), C a conv3×3. Level i works at 1/2^i of the size on width·2^i channels.
There is no batch normalisation, and convolutions stand in place of pooling and interpolation, as in DRUNet (Zhang et
al., IEEE TPAMI 44(10), 2022). The residual form follows DnCNN (Zhang et al., IEEE TIP 2017).

Width 16 and depth 2 give 150 257 parameters, 27 680 multiply-accumulates a pixel and a receptive field of 48×48 pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from edgerecon.workshop.models.family import Family, Params, Width
from edgerecon.workshop.models.network import Network


class UNet(Network):
    """N×1×H×W in [0, 1] → N×1×H×W, not clipped. Any H, W ≥ 1: other sizes are padded by edge replication and cropped.

    The last convolution starts at zero, so that an untrained network is the identity.

    Args:
        width: channels at full size. depth: how many times the size is halved, 1 to 6.
        separable: a depthwise conv3×3 and a conv1×1 (MobileNet, Howard et al., 2017) in place of every conv3×3 but
            the first and the last.
        channels: what each convolution but the last puts out, as the property of this name gives it; empty: from width.
    """

    scale = 1

    def __init__(self, width: int = 16, depth: int = 2, separable: bool = False, channels: Sequence[int] = ()) -> None:
        super().__init__()
        if width < 1 or not 1 <= depth <= 6:
            raise ValueError(f"width must be at least 1 and depth from 1 to 6, not {width} and {depth}")
        counts = list(channels) or _widths(width, depth)
        if len(counts) != 6 * depth + 2 or min(counts) < 1:
            raise ValueError(f"channels must be {6 * depth + 2} numbers from 1 on, not {counts}")
        self.depth, self.size_multiple = depth, 2**depth
        take = iter(counts)

        def block(before: int) -> nn.Sequential:
            conv = _separable if separable and before > 1 else _conv3x3
            first = conv(before, between := next(take))
            second = (_separable if separable else _conv3x3)(between, next(take))
            return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())

        self.encoder = nn.ModuleList([block(1)])
        self.down, self.up, self.decoder = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for _ in range(depth):
            self.down.append(nn.Conv2d(_out(self.encoder[-1]), next(take), 2, stride=2))
            self.encoder.append(block(_width(self.down[-1])))
        before = _out(self.encoder[-1])
        for skip in reversed(self.encoder[:-1]):
            self.up.append(nn.ConvTranspose2d(before, between := next(take), 2, stride=2))
            self.decoder.append(block(_out(skip) + between))
            before = _out(self.decoder[-1])
        self.last = _conv3x3(before, 1)
        nn.init.zeros_(self.last.weight)

    @property
    def channels(self) -> tuple[int, ...]:
        """What each convolution but the last puts out, from input to output; depthwise ones are left out."""
        found = [*_outs(self.encoder[0])]
        for resampler, block in (
            *zip(self.down, self.encoder[1:], strict=True),
            *zip(self.up, self.decoder, strict=True),
        ):
            found += [_width(resampler), *_outs(block)]
        return tuple(found)

    @property
    def receptive_field(self) -> int:
        """Of the output pixel that sees most: pixels differ by where they lie in the grids of the lower levels."""
        return max(self._window(position) for position in range(self.size_multiple))

    def _window(self, position: int) -> int:
        """Side of what one output pixel depends on, followed back layer by layer as first and last index."""
        low, high = position - 1, position + 1
        skips = []
        for _ in range(self.depth):
            low, high = low - 2, high + 2
            skips.append((low, high))
            low, high = low // 2, high // 2
        low, high = low - 2, high + 2
        for skip in reversed(skips):
            low, high = 2 * low, 2 * high + 1
            low, high = min(low, skip[0]) - 2, max(high, skip[1]) + 2
        return high - low + 1

    def macs_per_pixel(self) -> float:
        """Each weight is used once a position of its level; those between two levels once a position of the lower."""
        levels = range(self.depth)
        parts = [(self.last, 0), *zip(self.encoder, range(self.depth + 1), strict=True)]
        parts += [(part, level + 1) for part, level in zip(self.down, levels, strict=True)]
        parts += [(part, level + 1) for part, level in zip(self.up, reversed(levels), strict=True)]
        parts += zip(self.decoder, reversed(levels), strict=True)
        return sum(_weights(part) / 4**level for part, level in parts)

    def core(self, x: Tensor) -> Tensor:
        """The exported graph: H and W must be multiples of 2^depth."""
        z = self.encoder[0](x)
        skips = []
        for down, block in zip(self.down, self.encoder[1:], strict=True):
            skips.append(z)
            z = block(down(z))
        for up, block in zip(self.up, self.decoder, strict=True):
            z = block(torch.cat([skips.pop(), up(z)], dim=1))
        return x + self.last(z)


def _widths(width: int, depth: int) -> list[int]:
    levels = [width << level for level in range(depth + 1)]
    return [width, width, *(c for c in levels[1:] for _ in range(3)), *(c for c in levels[-2::-1] for _ in range(3))]


def _conv3x3(before: int, after: int) -> nn.Conv2d:
    return _initialised(nn.Conv2d(before, after, 3, padding=1))


def _separable(before: int, after: int) -> nn.Sequential:
    depthwise = nn.Conv2d(before, before, 3, padding=1, groups=before, bias=False)
    return nn.Sequential(depthwise, _initialised(nn.Conv2d(before, after, 1)))


def _initialised(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def _outs(block: nn.Module) -> tuple[int, int]:
    """Output channels of a block's two layers; of a separable one those of its second part."""
    assert isinstance(block, nn.Sequential)
    first, second = (layer[-1] if isinstance(layer, nn.Sequential) else layer for layer in (block[0], block[2]))
    return _width(first), _width(second)


def _width(layer: nn.Module) -> int:
    assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    return layer.out_channels


def _out(block: nn.Module) -> int:
    return _outs(block)[-1]


def _weights(part: nn.Module) -> int:
    return sum(p.numel() for name, p in part.named_parameters() if name.endswith("weight"))


class UNetParams(Params):
    """See ``UNet``."""

    width: Width = 16
    depth: int = Field(default=2, ge=1, le=6)
    separable: bool = False
    channels: tuple[Width, ...] = ()


FAMILY = Family(name="unet", params=UNetParams, build=UNet)

"""enhance_cnn: convolution, pooling and fully connected layers on patches, and the fully convolutional form of it.

    z = π(ρ(c_2 ∗ π(ρ(c_1 ∗ x))))
    patches              y_P = W_2·ρ(W_1·vec(z_P) + b_1) + b_2      for each patch P of 16×16 pixels
    fully convolutional  y = x + c_7 ∗ ρ(c_6 ∗ [x, S(c_5 ∗ ρ(c_4 ∗ ρ(c_3 ∗ z)))])

c is a conv3×3, π max-pooling 2×2, ρ the ReLU, S pixel-shuffle ×4, [·,·] concatenation. The fully connected layers see
the 4×4 pooled cells of their patch and write its 256 pixels; here they are convolutions of stride 4, which for one
patch is the same product and lets frames of any size through (Sermanet et al., OverFeat, ICLR 2014). Patches know
little of each other, so that their borders can show. The fully convolutional form (Long et al., CVPR 2015) puts
convolutions of dilation 1, 2 and 1 in their place and shares them over all positions. What they find are four maps at
full size, which two convolutions put together with the input: pooled cells know the tissue but not the noise of a
pixel, so that without these two the noise of the input stayed (SSIM 0.41, the patches' 0.55).

Width 16: patches with 256 hidden units have 201 920 parameters, 2 064 multiply-accumulates a pixel and a view of 22×22
pixels; fully convolutional 98 033 parameters, 7 920 and 46×46.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from edgerecon.workshop.models.family import Family, Params, Width
from edgerecon.workshop.models.network import Network

PATCH = 16
POOLED = 4
"""Pixels a pooled cell, each way."""
MAPS = 4
"""At full size, of the fully convolutional form."""
REACH = 3
"""Pixels that a pooled cell sees beyond its own: one of c_1, two (of half size) of c_2."""


class EnhanceCNN(Network):
    """N×1×H×W in [0, 1] → N×1×H×W, not clipped; any H, W ≥ 1: padded by edge replication and cropped.

    Args:
        width: channels of the first convolution; twice as many of the second.
        hidden: units of the first fully connected layer; 0: the fully convolutional form.
    """

    scale = 1

    def __init__(self, width: int = 16, hidden: int = 256) -> None:
        super().__init__()
        if width < 1 or hidden < 0:
            raise ValueError(f"width must be at least 1 and hidden at least 0, not {width} and {hidden}")
        self.hidden = hidden
        self.size_multiple = PATCH if hidden else POOLED
        self.features = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        if hidden:
            cells = PATCH // POOLED
            self.head = nn.Sequential(
                nn.Conv2d(2 * width, hidden, cells, stride=cells), nn.ReLU(), nn.Conv2d(hidden, PATCH * PATCH, 1)
            )
        else:
            self.head = nn.Sequential(
                nn.Conv2d(2 * width, 4 * width, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(4 * width, 4 * width, 3, padding=2, dilation=2),
                nn.ReLU(),
                nn.Conv2d(4 * width, POOLED * POOLED * MAPS, 3, padding=1),
            )
            last = nn.Conv2d(width, 1, 3, padding=1)
            self.mix = nn.Sequential(nn.Conv2d(1 + MAPS, width, 3, padding=1), nn.ReLU(), last)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    @property
    def receptive_field(self) -> int:
        """The patch, or the cells around one's own (1 + 2 + 1 each way) and two pixels for ``mix``; and what a pooled
        cell sees beyond itself."""
        return (PATCH if self.hidden else POOLED * (1 + 2 * 4) + 2 * 2) + 2 * REACH

    def macs_per_pixel(self) -> float:
        """Each weight is used once a position of its layer."""
        first, second = (part.weight.numel() for part in self.features if isinstance(part, nn.Conv2d))
        head = sum(part.weight.numel() for part in self.head if isinstance(part, nn.Conv2d))
        mix = 0 if self.hidden else sum(part.weight.numel() for part in self.mix if isinstance(part, nn.Conv2d))
        return first + second / 4 + head / self.size_multiple**2 + mix

    def core(self, x: Tensor) -> Tensor:
        """The exported graph: H and W must be multiples of ``size_multiple``."""
        found = F.pixel_shuffle(self.head(self.features(x)), self.size_multiple)
        return found if self.hidden else x + self.mix(torch.cat([x, found], dim=1))


class EnhanceCNNParams(Params):
    """See ``EnhanceCNN``."""

    width: Width = 16
    hidden: int = Field(default=256, ge=0, le=65536)


FAMILY = Family(name="enhance_cnn", params=EnhanceCNNParams, build=EnhanceCNN)

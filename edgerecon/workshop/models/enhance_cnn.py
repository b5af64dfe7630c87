"""enhance_cnn: convolution, pooling and fully connected layers on patches, and the fully convolutional form of it.

    z = π(ρ(c_2 ∗ π(ρ(c_1 ∗ x))))
    patches              y_P = W_2·ρ(W_1·vec(z_P) + b_1) + b_2      for each patch P of 16×16 pixels
    fully convolutional  y = x + S(c_5 ∗ ρ(c_4 ∗ ρ(c_3 ∗ z)))

c is a conv3×3, π max-pooling 2×2, ρ the ReLU, S pixel-shuffle ×4. The fully connected layers see the 4×4 pooled cells
of their patch and write its 256 pixels; here they are convolutions of stride 4, which for one patch is the same product
and lets frames of any size through (Sermanet et al., OverFeat, ICLR 2014). Patches know little of each other, so that
their borders can show. The fully convolutional form (Long et al., CVPR 2015) puts convolutions of dilation 1, 2 and 1
in their place, shares them over all positions, and adds what it finds to the input, which pooling would blur.

Width 16: patches with 256 hidden units have 201 920 parameters, 2 064 multiply-accumulates a pixel and a view of 22×22
pixels; fully convolutional 69 456 parameters, 5 328 and 42×42.
"""

from __future__ import annotations

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from edgerecon.workshop.models.family import Family, Params, Width
from edgerecon.workshop.models.network import Network

PATCH = 16
POOLED = 4
"""Pixels a pooled cell, each way."""
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
                nn.Conv2d(4 * width, POOLED * POOLED, 3, padding=1),
            )
            nn.init.zeros_(self.head[-1].weight)  # type: ignore[arg-type]

    @property
    def receptive_field(self) -> int:
        """The patch, or the cells around one's own (1 + 2 + 1 each way), and what a pooled cell sees beyond itself."""
        return (PATCH if self.hidden else POOLED * (1 + 2 * 4)) + 2 * REACH

    def macs_per_pixel(self) -> float:
        """Each weight is used once a position of its layer."""
        first, second = (part.weight.numel() for part in self.features if isinstance(part, nn.Conv2d))
        head = sum(part.weight.numel() for part in self.head if isinstance(part, nn.Conv2d))
        return first + second / 4 + head / self.size_multiple**2

    def core(self, x: Tensor) -> Tensor:
        """The exported graph: H and W must be multiples of ``size_multiple``."""
        found = F.pixel_shuffle(self.head(self.features(x)), self.size_multiple)
        return found if self.hidden else x + found


class EnhanceCNNParams(Params):
    """See ``EnhanceCNN``."""

    width: Width = 16
    hidden: int = Field(default=256, ge=0, le=65536)


FAMILY = Family(name="enhance_cnn", params=EnhanceCNNParams, build=EnhanceCNN)

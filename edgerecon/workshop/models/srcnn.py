"""srcnn: three convolutions on an enlarged image.

    y = f_3(ρ(f_2(ρ(f_1(E(x))))))

E enlarges by cubic convolution, f_1 is a conv9×9 to 64 channels, f_2 a conv1×1 to 32, f_3 a conv5×5 to 1, ρ the ReLU
(Dong et al., ECCV 2014, and TPAMI 38(2), 2016: "9-1-5; 64, 32, 1"). All of it works at the size of the output.

At ×2: 8 129 parameters, 32 228 multiply-accumulates an input pixel (8 032 an output pixel and the enlargement),
receptive field 10×10 input pixels (13×13 of the enlarged image).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from edgerecon.workshop.models.enlarge import Bicubic
from edgerecon.workshop.models.family import Family, Params
from edgerecon.workshop.models.network import Network

SIDES = (9, 1, 5)


class SRCNN(Network):
    """N×1×H×W in [0, 1] → N×1×(H·scale)×(W·scale), not clipped; any H, W ≥ 1.

    Starts as the enlargement E alone: the first channel of each layer hands the image on, which ρ leaves as it is. The
    paper starts at random and needs 10⁸ steps.

    Args:
        scale: 2, 3 or 4. width: channels after the first layer, at least 2; half of it after the second.
    """

    def __init__(self, scale: int = 2, width: int = 64) -> None:
        super().__init__()
        if scale not in (2, 3, 4) or width < 2:
            raise ValueError(f"scale must be 2, 3 or 4 and width at least 2, not {scale} and {width}")
        self.scale = scale
        self.enlarge = Bicubic(scale)
        ends = (1, width, width // 2, 1)
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, side, padding=side // 2)
            for before, after, side in zip(ends[:-1], ends[1:], SIDES, strict=True)
        )
        for layer in self.layers:
            _hand_on(layer)

    @property
    def receptive_field(self) -> int:
        """See ``Network``."""
        reach = sum(side // 2 for side in SIDES)
        windows = (self.enlarge.reach(phase - reach, phase + reach) for phase in range(self.scale))
        return max(high - low + 1 for low, high in windows)

    def macs_per_pixel(self) -> float:
        """Each weight is used once an output pixel."""
        weights = sum(p.numel() for name, p in self.layers.named_parameters() if name.endswith("weight"))
        return float(self.scale**2 * weights + self.enlarge.macs_per_pixel())

    def core(self, x: Tensor) -> Tensor:
        """The exported graph: any H and W."""
        z = self.enlarge(x)
        if not torch.compiler.is_exporting() and x.device.type == "cpu":
            z = z.contiguous(memory_format=torch.channels_last)  # the faster layout in oneDNN on AVX2
        for layer in self.layers[:-1]:
            z = F.relu(layer(z))
        return self.layers[-1](z)


def _hand_on(layer: nn.Module) -> None:
    """The first channel of the input becomes the first of the output, whatever the others are."""
    assert isinstance(layer, nn.Conv2d) and layer.bias is not None
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)
    middle = layer.kernel_size[0] // 2
    with torch.no_grad():
        layer.weight[0] = 0.0
        layer.weight[0, 0, middle, middle] = 1.0


class SRCNNParams(Params):
    """See ``SRCNN``."""

    scale: int = Field(default=2, ge=2, le=4)
    width: int = Field(default=64, ge=2, le=1024)


FAMILY = Family(name="srcnn", params=SRCNNParams, build=SRCNN)

"""The discriminator that judges patches: whether each looks real, not whether the frame does.

    D(x) = c_L(ρ(… ρ(c_1(x)))),   N×C×H×W → logits N×1×(H/8)×(W/8)

Isola et al., CVPR 2017: strided conv4×4 and a leaky ReLU each; here without batch normalisation but with the weights'
greatest singular value held at 1 (spectral normalisation: Miyato et al., ICLR 2018), as in Yu et al., ICCV 2019. It is
trained beside a generator and never exported.

Width 16 and two channels give 42 161 parameters and a receptive field of 38×38 pixels.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

STRIDED = 3


class PatchDiscriminator(nn.Module):
    """N×channels×H×W → logits N×1×H/8×W/8, H and W multiples of 8; one for every patch of ``receptive_field`` pixels.

    Args:
        channels: of what it judges, e.g. 2 for a frame and a mask. width: of the first layer, doubled by the next ones.
    """

    receptive_field = 38

    def __init__(self, channels: int = 1, width: int = 16) -> None:
        super().__init__()
        widths = [channels, *(width << level for level in range(STRIDED))]
        layers: list[nn.Module] = []
        for before, after in zip(widths[:-1], widths[1:], strict=True):
            layers += [spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1)))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits

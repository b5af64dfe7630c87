"""The discriminator of SRGAN and ESRGAN: a strided classifier of whole crops.

    D(x) = L_1(λ(L_h(mean(λB C … λB C λ C(x)))))

C is a conv3×3, every second one of stride 2, with width, width, 2, 2, 4, 4, 8 and 8 times the channels; B batch
normalisation, λ the leaky ReLU of slope 0.2, L fully connected layers (Ledig et al., CVPR 2017, figure 4: width 64, h =
1024). The mean over positions, which the paper does not take, frees it from one size of crop. Returns logits; the
relativistic average of ESRGAN is taken by ``train.steps.Adversarial``. At width 64: 5.2 million parameters.
"""

from __future__ import annotations

from torch import Tensor, nn


class SRDiscriminator(nn.Module):
    """N×1×H×W, H and W ≥ 16 → N×1 logits that an image is real. width: channels of the first layers."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, width, 3, padding=1), nn.LeakyReLU(0.2)]
        before = width
        for after, stride in [(width * 2 ** ((i + 1) // 2), 2 - i % 2) for i in range(7)]:
            layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
            before = after
        self.features = nn.Sequential(*layers)
        self.judge = nn.Sequential(nn.Linear(before, 16 * width), nn.LeakyReLU(0.2), nn.Linear(16 * width, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.judge(self.features(x).mean(dim=(2, 3)))

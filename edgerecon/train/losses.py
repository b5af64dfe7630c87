"""L1 + (1 − SSIM), the training loss."""

from __future__ import annotations

from torch import Tensor, nn

from edgerecon.train.ssim import SSIM


class ReconstructionLoss(nn.Module):
    """``l1·mean|a − b| + ssim·(1 − SSIM(a, b))`` on N×1×H×W in [0, 1] (Zhao et al., IEEE TCI 3(1), 2017).

    Args:
        l1, ssim: weights.
    """

    def __init__(self, l1: float, ssim: float) -> None:
        super().__init__()
        self.l1 = l1
        self.ssim = ssim
        self.similarity = SSIM()

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        loss = self.l1 * (output - target).abs().mean()
        if self.ssim:
            loss = loss + self.ssim * (1 - self.similarity(output, target).mean())
        return loss

"""L1 + (1 − SSIM) + (1 − edge preservation), the training loss."""

from __future__ import annotations

from torch import Tensor, nn

from edgerecon.workshop.recipe_tables import LossTable
from edgerecon.workshop.train.edges import EdgePreservation
from edgerecon.workshop.train.ssim import SSIM

LEAST_ERROR = 2e-3  # half a grey level of 8 bits


class ReconstructionLoss(nn.Module):
    """``mean(|a − b|·(l1 / e + absolute)) + ssim·(1 − SSIM(a, b)) + edge·(1 − ρ(a, x))`` on N×1×H×W in [0, 1].

    a is the output, b the target, x the input, and e = mean|x − b| of each crop, the error that is there to be removed:
    without it crops of low contrast would count for nothing. L1 with SSIM after Zhao et al., IEEE TCI 3(1), 2017. ρ,
    the correlation of Laplacians, keeps the network from redrawing structure where the image is not homogeneous.

    Args:
        plain: how many crops at the head of a batch ρ leaves out (see ``LossTable``).
    """

    def __init__(self, weights: LossTable, plain: int = 0) -> None:
        super().__init__()
        self.weights = weights
        self.plain = plain
        self.similarity = SSIM()
        self.edges = EdgePreservation()

    def forward(self, output: Tensor, target: Tensor, source: Tensor) -> Tensor:
        weights, k = self.weights, self.plain
        error = (source - target).abs().mean(dim=(1, 2, 3), keepdim=True).clamp_min(LEAST_ERROR)
        loss = ((output - target).abs() * (weights.l1 / error + weights.absolute)).mean()
        if weights.ssim:
            loss = loss + weights.ssim * (1 - self.similarity(output, target).mean())
        if weights.edge and len(output) > k:
            loss = loss + weights.edge * (1 - self.edges(output[k:], source[k:]))
        return loss

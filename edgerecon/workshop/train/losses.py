"""L1 + (1 − SSIM) + (1 − edge preservation), the training loss."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from edgerecon.workshop.recipe_tables import LossTable
from edgerecon.workshop.train.edges import EdgePreservation
from edgerecon.workshop.train.ssim import SSIM

LEAST_ERROR = 2e-3  # half a grey level of 8 bits
DETAIL_WINDOW = 9
FULL_DETAIL = 0.1
"""Difference from the local mean at which a pixel of the target counts as detail throughout."""


class ReconstructionLoss(nn.Module):
    """``mean(|a − b|·d·(l1 / e + absolute)) + ssim·(1 − SSIM(a, b)) + edge·(1 − ρ(a, x))`` on N×1×H×W in [0, 1].

    a is the output, b the target, x the input, and e = mean|x − b| of each crop, the error that is there to be removed:
    without it crops of low contrast would count for nothing. d = 1 + detail·min(|b − b̄| / 0.1, 1), with b̄ the mean of
    9×9 pixels: the least mean error shrinks what is uncertain towards its surroundings, a fine line most of all, and a
    line lost costs a reader more than a grain left. L1 with SSIM after Zhao et al., IEEE TCI 3(1), 2017. ρ,
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
        weight = weights.l1 / error + weights.absolute
        if weights.detail:
            weight = weight * (1 + weights.detail * _detail(target))
        loss = ((output - target).abs() * weight).mean()
        if weights.ssim:
            loss = loss + weights.ssim * (1 - self.similarity(output, target).mean())
        if weights.edge and len(output) > k:
            loss = loss + weights.edge * (1 - self.edges(output[k:], source[k:]))
        return loss


def _detail(target: Tensor) -> Tensor:
    """How much each pixel stands out of its surroundings, in [0, 1]."""
    mean = F.avg_pool2d(target, DETAIL_WINDOW, stride=1, padding=DETAIL_WINDOW // 2, count_include_pad=False)
    return ((target - mean).abs() / FULL_DETAIL).clamp_max(1)

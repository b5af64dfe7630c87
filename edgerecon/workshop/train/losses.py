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
CELL, REGION_CELLS, AROUND_CELLS = 4, 3, 11
"""Regions are judged on cells of 4×4 pixels: the mean of 3×3 cells against that of 11×11."""


class ReconstructionLoss(nn.Module):
    """``mean(|a − b|·d·(l1 / e + absolute)) + ssim·(1 − SSIM(a, b)) + edge·(1 − ρ(a, x))`` on N×1×H×W in [0, 1].

    a is the output, b the target, x the input, and e = mean|x − b| of each crop, the error that is there to be removed:
    without it crops of low contrast would count for nothing. d = 1 + detail·min(|b − b̄| / 0.1, 1) + regions·min(|r −
    r̄| / 0.1, 1), with b̄ the mean of 9×9 pixels, r of 12×12 and r̄ of 44×44: the least mean error shrinks what is
    uncertain towards its surroundings, a fine line and a small lesion most of all, and a line lost costs a reader more
    than a grain left. L1 with SSIM after Zhao et al., IEEE TCI 3(1), 2017. ρ,
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
        if weights.detail or weights.regions:
            weight = weight * (1 + weights.detail * _detail(target) + weights.regions * _regions(target))
        loss = ((output - target).abs() * weight).mean()
        if weights.ssim:
            loss = loss + weights.ssim * (1 - self.similarity(output, target).mean())
        if weights.edge and len(output) > k:
            loss = loss + weights.edge * (1 - self.edges(output[k:], source[k:]))
        return loss


def _detail(target: Tensor) -> Tensor:
    """How much each pixel stands out of its surroundings, in [0, 1]."""
    return ((target - _mean(target, DETAIL_WINDOW)).abs() / FULL_DETAIL).clamp_max(1)


def _regions(target: Tensor) -> Tensor:
    """How much each pixel's region, as large as a small lesion, stands out of its surroundings, in [0, 1]."""
    cells = F.avg_pool2d(target, CELL, ceil_mode=True)
    region, around = (_mean(cells, side) for side in (REGION_CELLS, AROUND_CELLS))
    return F.interpolate(((region - around).abs() / FULL_DETAIL).clamp_max(1), size=target.shape[-2:])


def _mean(image: Tensor, side: int) -> Tensor:
    """Of side × side pixels around each, of those that lie inside: down the columns, then along the rows."""
    columns = F.avg_pool2d(image, (side, 1), stride=1, padding=(side // 2, 0), count_include_pad=False)
    return F.avg_pool2d(columns, (1, side), stride=1, padding=(0, side // 2), count_include_pad=False)

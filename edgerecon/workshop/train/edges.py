"""Differentiable edge preservation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SIGMA, RADIUS = 2.5, 10


class EdgePreservation(nn.Module):
    """Correlation of the Laplacians of Gaussian (σ = 2.5 px) of two batches: (N, 1, H, W) twice → scalar in [−1, 1].

    The measure of ``edgerecon.quality.measures.speckle.edge_preservation``, pooled over the whole batch
    as if it were one image: what counts is the strong edges wherever they are, and a crop without any is free to
    change. Over the pixels whose window lies inside the image; needs H, W ≥ 23.
    """

    def __init__(self) -> None:
        super().__init__()
        offsets = torch.arange(-RADIUS - 1, RADIUS + 2, dtype=torch.float64)
        blur = torch.exp(-(offsets**2) / (2 * SIGMA**2)) * (offsets.abs() <= RADIUS)
        blur /= blur.sum()
        inner = torch.nn.functional.pad(blur, (1, 1))
        curve = inner[2:] - 2 * inner[1:-1] + inner[:-2]  # second difference of the Gaussian
        self._taps = blur.float(), curve.float()
        self._bands: dict[tuple[int, torch.device], tuple[Tensor, Tensor]] = {}

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        with torch.autocast(a.device.type, enabled=False):
            x, y = self._laplacian(a.float()), self._laplacian(b.float())
            x, y = x - x.mean(), y - y.mean()
            return (x * y).sum() / ((x * x).sum() * (y * y).sum()).clamp_min(1e-12).sqrt()

    def _laplacian(self, x: Tensor) -> Tensor:
        """Products with band matrices, as in ``ssim``."""
        (blur_y, curve_y), (blur_x, curve_x) = self._band(x.shape[-2], x.device), self._band(x.shape[-1], x.device)
        return curve_y @ x @ blur_x.T + blur_y @ x @ curve_x.T

    def _band(self, length: int, device: torch.device) -> tuple[Tensor, Tensor]:
        if (length, device) not in self._bands:
            self._bands[length, device] = tuple(_band(taps.to(device), length) for taps in self._taps)  # type: ignore[assignment]
        return self._bands[length, device]


def _band(taps: Tensor, length: int) -> Tensor:
    band = torch.zeros(length - len(taps) + 1, length, device=taps.device)
    for row in range(len(band)):
        band[row, row : row + len(taps)] = taps
    return band

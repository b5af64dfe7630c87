"""Differentiable SSIM."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SIZE, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2


class SSIM(nn.Module):
    """Mean structural similarity of each image: (N, 1, H, W) twice, in [0, 1] → (N,).

    Wang et al., IEEE Trans. Image Process. 13(4), 2004: Gaussian window 11×11, σ = 1.5, K1 = 0.01, K2 = 0.03, data
    range 1, population covariance, over the pixels whose window lies inside the image; needs H, W ≥ 11. Always
    computed in float32, since the variances cancel.
    """

    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        offsets = torch.arange(SIZE, dtype=torch.float64) - SIZE // 2
        window = torch.exp(-(offsets**2) / (2 * SIGMA**2))
        self.register_buffer("window", (window / window.sum()).float(), persistent=False)
        self._bands: dict[tuple[int, torch.device], Tensor] = {}

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        with torch.autocast(a.device.type, enabled=False):
            a, b = a.float(), b.float()
            mean_a, mean_aa, mean_ab = self._blur(torch.stack([a, a * a, a * b]))
            mean_b, mean_bb = self._blur(torch.stack([b, b * b]))
            product, squares = mean_a * mean_b, mean_a**2 + mean_b**2
            numerator = (2 * product + C1) * (2 * (mean_ab - product) + C2)
            denominator = (squares + C1) * (mean_aa + mean_bb - squares + C2)
            return (numerator / denominator).mean(dim=(1, 2, 3))

    def _blur(self, x: Tensor) -> Tensor:
        """The window along both axes as two products with band matrices: on a CPU five times as fast as conv2d."""
        return self._band(x.shape[-2], x.device) @ x @ self._band(x.shape[-1], x.device).T

    def _band(self, length: int, device: torch.device) -> Tensor:
        if (length, device) not in self._bands:
            band = torch.zeros(length - SIZE + 1, length, device=device)
            for row in range(len(band)):
                band[row, row : row + SIZE] = self.window
            self._bands[length, device] = band
        return self._bands[length, device]

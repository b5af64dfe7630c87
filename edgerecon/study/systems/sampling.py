"""Which lines of k-space to measure: at random, denser in the middle, greedily by the data, or learned.

All masks have as many lines. random and variable density always hold the middle 8 % (as fastMRI does); the other two
follow the training slices and know of no middle.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgerecon.workshop.data.mri import Mask, fourier

MIDDLE = 0.08
SLOPE, SHARPNESS = 20.0, 50.0
"""Of a line's probability over its logit, and of the softened draw."""


def random_mask(size: int, lines: int, rng: np.random.Generator) -> Mask:
    """The middle, and the rest drawn evenly."""
    return _drawn(size, lines, np.ones(size), rng)


def variable_density_mask(size: int, lines: int, rng: np.random.Generator, middle: float = MIDDLE) -> Mask:
    """The middle, and the rest drawn with a density that falls as (1 − |k|)³ (Lustig, Donoho & Pauly, MRM, 2007)."""
    away = np.abs(np.arange(size) - size // 2) / (size / 2)
    return _drawn(size, lines, (1 - away) ** 3 + 1e-3, rng, middle)


def equispaced_mask(size: int, lines: int, middle: float = MIDDLE) -> Mask:
    """The middle, and the rest as evenly apart as lines can be."""
    mask = middle_lines(size, middle)
    free = np.flatnonzero(~mask)
    mask[free[np.linspace(0, len(free) - 1, lines - int(mask.sum())).round().astype(int)]] = True
    return mask


def middle_lines(size: int, middle: float) -> Mask:
    """The central share of the lines, an even number of them."""
    half = max(1, round(middle * size / 2))
    return np.abs(np.arange(size) - size // 2 + 0.5) < half


def greedy_mask(images: NDArray[Any], lines: int) -> Mask:
    """Line by line the one that lowers the squared error of the zero-filled training slices (N, H, W) most.

    Gözcü et al., IEEE TMI 37(6), 2018. By Parseval's theorem a line lowers that error by its own energy, whatever else
    is measured, so that for this reconstruction the greedy choice is the best of all choices.
    """
    energy = np.mean([np.sum(np.abs(fourier(image)) ** 2, axis=0) for image in images], axis=0)
    return strongest(energy, lines)


def strongest(weights: NDArray[Any], lines: int) -> Mask:
    """The lines with the greatest weights."""
    mask = np.zeros(len(weights), bool)
    mask[np.argsort(-weights, kind="stable")[:lines]] = True
    return mask


def _drawn(
    size: int, lines: int, density: NDArray[np.float64], rng: np.random.Generator, middle: float = MIDDLE
) -> Mask:
    mask = middle_lines(size, middle)
    free = np.flatnonzero(~mask)
    chosen = rng.choice(free, lines - int(mask.sum()), replace=False, p=density[free] / density[free].sum())
    mask[chosen] = True
    return mask


class LearnedSampling(nn.Module):
    """k-space N×2×H×W (real, imaginary) → reconstruction N×1×H×W, through a mask that is trained with the network.

    LOUPE (Bahadir, Wang, Dalca & Sabuncu, IEEE TCI 6, 2020): line k is measured with probability p_k = σ(20 θ_k),
    scaled to the wanted mean; the draw u < p is softened to σ(50 (p − u)) so that the loss reaches θ.
    """

    def __init__(self, network: nn.Module, size: int, lines: int) -> None:
        super().__init__()
        self.network, self.share = network, lines / size
        away = (torch.arange(size) - size // 2).abs() / (size / 2)
        self.logits = nn.Parameter(0.1 * (1 - 3 * away))  # the middle is known to matter: training decides the rest

    def probabilities(self) -> Tensor:
        """(size,) of mean ``share``."""
        p = torch.sigmoid(SLOPE * self.logits)
        mean = p.mean()
        less, more = p * self.share / mean, 1 - (1 - p) * (1 - self.share) / (1 - mean).clamp_min(1e-6)
        return torch.where(mean > self.share, less, more)

    def forward(self, k_space: Tensor) -> Tensor:
        p = self.probabilities()
        mask = torch.sigmoid(SHARPNESS * (p - torch.rand(len(k_space), 1, len(p), device=p.device)))
        image = torch.fft.ifft2(
            torch.fft.ifftshift(torch.complex(k_space[:, 0], k_space[:, 1]) * mask, (-2, -1)), norm="ortho"
        )
        # Of the magnitude alone: where zero frequency lies in the image does not matter, but the image must be centred.
        found: Tensor = self.network(torch.fft.fftshift(image.abs(), (-2, -1))[:, None])
        return found

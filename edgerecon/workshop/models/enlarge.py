"""Cubic convolution, the enlargement that super-resolution networks start from.

    y(p) = Σ_k h(p/s − k) x(k),   h the cubic of Keys (IEEE Trans. ASSP 29(6), 1981) with a = −3/4,
    as in OpenCV and PyTorch

An output pixel depends on 4×4 input pixels, and there are only s² sets of weights: a fixed conv5×5 to s² channels and a
pixel-shuffle do it, on every runtime, the border repeated by slices and concatenations (no Pad). 25·s²
multiply-accumulates an input pixel.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

A = -0.75
REACH = 2


class Bicubic(nn.Module):
    """N×1×H×W → N×1×(H·scale)×(W·scale), pixel centres aligned; no trained values."""

    kernel: Tensor

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        rows = torch.tensor([_taps(phase, scale) for phase in range(scale)])
        kernel = torch.einsum("iy,jx->ijyx", rows, rows).reshape(scale * scale, 1, 5, 5)
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        for axis in (2, 3):
            first, last = x.narrow(axis, 0, 1), x.narrow(axis, -1, 1)
            x = torch.cat([first, first, x, last, last], dim=axis)
        return F.pixel_shuffle(F.conv2d(x, self.kernel), self.scale)

    def macs_per_pixel(self) -> int:
        """Of an input pixel."""
        return self.kernel.numel()

    def reach(self, low: int, high: int) -> tuple[int, int]:
        """First and last input index, along an axis, on which output indices low to high depend."""
        first, last = ((index + 0.5) / self.scale - 0.5 for index in (low, high))
        return math.floor(first) - 1, math.floor(last) + 2


def _taps(phase: int, scale: int) -> list[float]:
    """Weights of the five input pixels around output pixel ``phase`` of a cell of ``scale``."""
    at = (phase + 0.5) / scale - 0.5
    return [_cubic(at - k) for k in range(-REACH, REACH + 1)]


def _cubic(t: float) -> float:
    t = abs(t)
    if t <= 1:
        return (A + 2) * t**3 - (A + 3) * t**2 + 1
    return A * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0

"""unrolled_mri: a small end-to-end variational network for multi-coil MRI (Sriram et al., MICCAI 2020).

    k_{t+1} = k_t − η_t M (k_t − y) − F S N_t(Σ_c S_c* F⁻¹ k_t),   x = |Σ_c S_c* F⁻¹ k_T|

in the notation of ``workshop.data.multicoil``: N_t is a U-Net of its own on the real and the imaginary part, which
ends at zero. k_0 is y, and where nothing was measured F S x_0 of the SENSE image

    x_0 = argmin ‖A x − y‖² + ``WEIGHT``·‖x‖²,

by ``ITERATIONS`` conjugate gradients: an untrained network is that image. From the zero-filled image (k_0 = y), as in
the paper, a few gradient steps cannot do what the coils alone allow, and the networks would have to learn it. The
sensitivities S are given, not learned. It takes k-space, not frames, hence it is no ``Network``: it is not exported and
does not stream.

The default has 6 cascades of width 24 and 419 670 parameters.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WEIGHT, ITERATIONS = 1e-2, 12
"""Of the image that it starts from."""


class UnrolledMRI(nn.Module):
    """Complex (N, 2, C, H, W) → N×1×H×W: k-space and sensitivities, stacked; H and W are multiples of 4.

    Args:
        mask: (W,), which columns are measured.
    """

    mask: Tensor

    def __init__(self, mask: Tensor, cascades: int = 6, width: int = 24) -> None:
        super().__init__()
        self.register_buffer("mask", mask.to(torch.float32))
        self.networks = nn.ModuleList(_SmallUNet(width) for _ in range(cascades))
        self.rates = nn.Parameter(torch.ones(cascades))

    def forward(self, given: Tensor) -> Tensor:
        measured, maps = (part * _signs(part) for part in given.unbind(1))
        k_space = self._start(measured, maps)
        for rate, network in zip(self.rates, self.networks, strict=True):
            correction = _transform(maps * network(_combined(k_space, maps)).unsqueeze(1))
            k_space = k_space - rate * self.mask * (k_space - measured) - correction
        x = _combined(k_space, maps)
        return torch.sqrt(x.real**2 + x.imag**2 + 1e-12).unsqueeze(1)

    @torch.no_grad()
    def _start(self, measured: Tensor, maps: Tensor) -> Tensor:
        """k_0."""
        return measured + (1 - self.mask) * _transform(maps * _sense(measured, maps, self.mask).unsqueeze(1))


def sense(measured: Tensor, maps: Tensor, mask: Tensor) -> Tensor:
    """x_0, complex (N, H, W): conjugate gradients on Aᴴ A + weight, every row a problem of its own.

    Args:
        measured, maps: complex (N, C, H, W), W a multiple of 4. mask: (W,).
    """
    return _sense(measured * _signs(measured), maps * _signs(maps), mask)


def _sense(measured: Tensor, maps: Tensor, mask: Tensor) -> Tensor:
    """``sense`` of data that were multiplied by ``_signs``."""
    x = torch.zeros_like(measured[:, 0])
    residual = _combined(measured, maps)
    direction, energy = residual, _energy(residual)
    for _ in range(ITERATIONS):
        ahead = _combined(mask * _transform(maps * direction.unsqueeze(1)), maps) + WEIGHT * direction
        step = energy / (direction.conj() * ahead).real.sum(-1, keepdim=True).clamp_min(1e-20)
        x, residual = x + step * direction, residual - step * ahead
        before, energy = energy, _energy(residual)
        direction = residual + energy / before.clamp_min(1e-20) * direction
    return x


def _energy(image: Tensor) -> Tensor:
    """‖·‖² of every row, (N, H, 1)."""
    return (image.real**2 + image.imag**2).sum(-1, keepdim=True)


def transform(image: Tensor) -> Tensor:
    """F along the last axis, a multiple of 4 long; see ``workshop.data.multicoil.transform``."""
    signs = _signs(image)
    return signs * _transform(signs * image)


def _signs(image: Tensor) -> Tensor:
    """(W,) of +1, −1, …: times these before and after, a transform has zero frequency and origin in the middle, where
    W is a multiple of 4. k-space and maps are multiplied once; nothing is moved in memory afterwards."""
    return 1 - 2 * (torch.arange(image.shape[-1], device=image.device) % 2).to(image.real.dtype)


def _transform(image: Tensor) -> Tensor:
    """F along the last axis, zero frequency first."""
    return torch.fft.fft(image, dim=-1, norm="ortho")


def _combined(k_space: Tensor, maps: Tensor) -> Tensor:
    """(N, C, H, W) → complex (N, H, W)."""
    return (maps.conj() * torch.fft.ifft(k_space, dim=-1, norm="ortho")).sum(1)


class _SmallUNet(nn.Module):
    """Complex (N, H, W) → the same; at a half and a quarter of the size, no normalisation (values keep their scale)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(_conv(8, width), _conv(width, width))
        self.lower = nn.Sequential(
            nn.Conv2d(width, 2 * width, 2, stride=2), _conv(2 * width, 2 * width), _conv(2 * width, 2 * width)
        )
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.second = _conv(2 * width, width)
        self.last = nn.Conv2d(width, 8, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:
        parts = F.pixel_unshuffle(torch.stack([image.real, image.imag], dim=1), 2)
        if image.device.type == "cpu":
            parts = parts.contiguous(memory_format=torch.channels_last)
        skip = self.first(parts)
        z = self.second(torch.cat([skip, self.up(self.lower(skip))], dim=1))
        real, imaginary = F.pixel_shuffle(self.last(z).float(), 2).unbind(1)  # there is no complex bf16
        return torch.complex(real, imaginary)


def _conv(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.LeakyReLU(0.2))

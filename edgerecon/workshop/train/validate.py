"""Quality on whole held-out images, as the published figures measure it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from edgerecon.workshop.data.datasets import Pairs
from edgerecon.workshop.models.network import Network
from edgerecon.workshop.train.ssim import SSIM

_CHUNK = 8


def psnr(output: Tensor, target: Tensor) -> Tensor:
    """PSNR in dB, data range 1; a wrong brightness is an error.

    Args:
        output, target: (N, 1, H, W).

    Returns:
        (N,); at most 120 dB.
    """
    error = (output.flatten(1).double() - target.flatten(1).double()) ** 2
    return -10 * torch.log10(error.mean(1).clamp_min(1e-12))


@torch.no_grad()
def validate(
    model: Network, pairs: Pairs, inputs: Sequence[str], target: str, device: torch.device
) -> tuple[float, float]:
    """Mean PSNR in dB and mean SSIM of the clipped output, over every image and every input field."""
    similarity = SSIM().to(device)
    decibels, similarities = [], []
    for name in inputs:
        for start in range(0, len(pairs), _CHUNK):
            window = slice(start, start + _CHUNK)
            before, after = (torch.from_numpy(pairs.tensor(field, window)).to(device) for field in (name, target))
            output = model.shown(model(before).float()).clamp(0, 1)
            decibels.append(psnr(output, after))
            similarities.append(similarity(output, after))
    return float(torch.cat(decibels).mean()), float(torch.cat(similarities).mean())

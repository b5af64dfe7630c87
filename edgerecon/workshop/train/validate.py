"""Quality on whole held-out images, as the published figures measure it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from edgerecon.workshop.data.datasets import Pairs
from edgerecon.workshop.models.network import Network
from edgerecon.workshop.train.ssim import SSIM

_CHUNK = 8


def gain_offset_psnr(output: Tensor, target: Tensor) -> Tensor:
    """PSNR in dB, data range 1, after the least-squares gain and offset: the display setting is not an error.

    Args:
        output, target: (N, 1, H, W).

    Returns:
        (N,); a constant output leaves the target's own variance as error.
    """
    x, y = output.flatten(1).double(), target.flatten(1).double()
    x, y = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
    gain = (x * y).sum(1, keepdim=True) / (x * x).sum(1, keepdim=True).clamp_min(1e-12)
    return -10 * torch.log10(((gain * x - y) ** 2).mean(1).clamp_min(1e-12))


@torch.no_grad()
def validate(
    model: Network, pairs: Pairs, inputs: Sequence[str], target: str, device: torch.device
) -> tuple[float, float]:
    """Mean PSNR after gain and offset, and mean SSIM of the clipped output, over every image and every input field."""
    similarity = SSIM().to(device)
    psnr, ssim = [], []
    for name in inputs:
        for start in range(0, len(pairs), _CHUNK):
            window = slice(start, start + _CHUNK)
            before, after = (torch.from_numpy(pairs.tensor(field, window)).to(device) for field in (name, target))
            output = model.shown(model(before).float()).clamp(0, 1)
            psnr.append(gain_offset_psnr(output, after))
            ssim.append(similarity(output, after))
    return float(torch.cat(psnr).mean()), float(torch.cat(ssim).mean())

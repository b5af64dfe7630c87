"""Gradients of a region's mean with respect to the frame.

    f(x) = mean of the reconstruction over the region, before it is clipped to [0, 1]

    saliency               |∂f/∂x|                                             Simonyan et al., ICLR Workshops 2014
    integrated gradients   (x − b)·∫₀¹ ∂f/∂x at b + α(x − b) dα, b = 0 (black)        Sundararajan et al., ICML 2017

Integrated gradients add up to f(x) − f(b) (completeness), to the error of the sum that stands for the integral: the
midpoint rule. In 8-bit networks, and those that take or give integers, gradients pass straight through the roundings
(Bengio et al., arXiv:1308.3432), and the sum is no longer exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from edgerecon.core.frame import Image
from edgerecon.engines.pytorch.graph import TorchGraph
from edgerecon.engines.pytorch.operators import OPERATORS, Operator
from edgerecon.engines.tiled import spread, within
from edgerecon.modelfile.file import ModelFile
from edgerecon.modelfile.ports import OUTPUT
from edgerecon.quality.regions import Box

STEPS = 64


class Differentiable:
    """A model file as a function of frames of any size, padded by edge replication as the engines do."""

    def __init__(self, file: ModelFile) -> None:
        self.graph = TorchGraph(file, "cuda" if torch.cuda.is_available() else "cpu", _STRAIGHT_THROUGH)
        self.spec, self.multiple = file.spec, file.spec.size_multiple

    def frame(self, frame: Image) -> Tensor:
        """1×1×H×W on the device."""
        return torch.from_numpy(np.ascontiguousarray(frame)).to(self.graph.device)[None, None]

    def __call__(self, x: Tensor) -> Tensor:
        """1×1×H×W → 1×1×(H·scale)×(W·scale) or what the model's fixed output is, not clipped."""
        if self.spec.tile:
            return self._on_tiles(x, self.spec.tile)
        height, width = self.spec.output_shape(*x.shape[-2:])
        return self.values(x)[OUTPUT][..., :height, :width]

    def _on_tiles(self, x: Tensor, tile: tuple[int, int]) -> Tensor:
        """As ``TiledEngine`` does: overlapping tiles, of each what its border does not darken."""
        halo, scale = -(-self.spec.halo // self.multiple) * self.multiple, self.spec.scale
        shape = x.shape[-2:]
        rows, columns = (spread(length, side, halo, self.multiple) for length, side in zip(shape, tile, strict=True))
        beyond = [
            max(0, places[-1][0] + side - length)
            for places, side, length in zip((rows, columns), tile, shape, strict=True)
        ]
        padded = F.pad(x, (0, beyond[1], 0, beyond[0]), mode="replicate")

        def piece(top: int, kept: slice, left: int, beside: slice) -> Tensor:
            found = self.graph(padded[..., top : top + tile[0], left : left + tile[1]])[OUTPUT]
            return found[..., within(kept, top, scale), within(beside, left, scale)]

        bands = [torch.cat([piece(*row, *column) for column in columns], -1) for row in rows]
        return torch.cat(bands, -2)

    def values(self, x: Tensor, *names: str) -> dict[str, Tensor]:
        """Values of the graph by name, of the padded frame."""
        height, width = x.shape[-2:]
        pads = (0, -width % self.multiple, 0, -height % self.multiple)
        return self.graph(F.pad(x, pads, mode="replicate") if any(pads) else x, names)


def score(network: Differentiable, frame: Image, region: Box) -> float:
    """f of a frame."""
    with torch.no_grad():
        return float(_scores(network, network.frame(frame), region))


def saliency(network: Differentiable, frame: Image, region: Box) -> Image:
    """|∂f/∂x|, H×W: by how much f changes per unit of each pixel."""
    return np.abs(_as_image(_gradient(network, network.frame(frame), region)))


def integrated(
    network: Differentiable,
    frame: Image,
    region: Box,
    on_step: Callable[[int, int], None] = lambda done, total: None,
    steps: int = STEPS,
) -> Image:
    """Integrated gradients from a black frame, H×W, in units of f.

    Args:
        steps: points of the midpoint rule; on_step is called with (done, steps).
    """
    x = network.frame(frame)
    total = torch.zeros_like(x)
    for step in range(steps):  # one by one, since not every network takes several frames at once
        total += _gradient(network, (step + 0.5) / steps * x, region)
        on_step(step + 1, steps)
    return _as_image(x * total / steps)


def _gradient(network: Differentiable, x: Tensor, region: Box) -> Tensor:
    """∂f/∂x."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        scores = _scores(network, x, region)
    (gradient,) = torch.autograd.grad(scores.sum(), x)
    return gradient


def _scores(network: Differentiable, x: Tensor, region: Box) -> Tensor:
    y0, x0, y1, x1 = region
    return network(x)[..., y0:y1, x0:x1].mean((1, 2, 3))


def _as_image(x: Tensor) -> Image:
    return x[0, 0].detach().float().cpu().numpy()


def _quantise(a: Mapping[str, Any], x: Tensor, step: Tensor, zero: Tensor | None = None) -> Tensor:
    """QuantizeLinear whose levels stay float32, so that they carry gradients: 1 within the range and 0 beyond."""
    limits = torch.iinfo(torch.uint8 if zero is None else zero.dtype)
    levels = x.float() / _along(step, x, a).float()
    levels = levels + (levels.round() - levels).detach()
    if zero is not None:
        levels = levels + _along(zero, x, a).float()
    return levels.clamp(limits.min, limits.max)


def _dequantise(a: Mapping[str, Any], x: Tensor, step: Tensor, zero: Tensor | None = None) -> Tensor:
    levels = x.float()
    if zero is not None:
        levels = levels - _along(zero, x, a).float()
    return levels.to(step.dtype) * _along(step, x, a)


def _straight(rounded: Operator) -> Operator:
    """A rounding of floats that lets gradients pass as if it were not there."""

    def operator(a: Mapping[str, Any], x: Tensor) -> Tensor:
        return x + (rounded(a, x) - x).detach() if x.requires_grad else rounded(a, x)

    return operator


def _cast(a: Mapping[str, Any], x: Tensor) -> Tensor:
    """Cast whose integers stay floats where gradients pass, so that they carry them: a uint8 network's input."""
    found = OPERATORS["Cast"](a, x)
    if not x.requires_grad or found.is_floating_point():
        return found
    return x + (found.to(x.dtype) - x).detach()


def _along(parameter: Tensor, x: Tensor, a: Mapping[str, Any]) -> Tensor:
    """Of the tensor or of each channel, in a shape that broadcasts over ``x``."""
    if parameter.numel() == 1:
        return parameter.reshape(())
    shape = [1] * x.ndim
    shape[a.get("axis", 1)] = -1
    return parameter.reshape(shape)


_STRAIGHT_THROUGH: dict[str, Operator] = {
    "QuantizeLinear": _quantise,
    "DequantizeLinear": _dequantise,
    "Cast": _cast,
    **{name: _straight(OPERATORS[name]) for name in ("Round", "Floor", "Ceil")},
}

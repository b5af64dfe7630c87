"""Support-vector regression of a pixel from the patch around it (Smola & Schölkopf, Statistics and Computing 14, 2004).

    ŷ = Σ_j α_j exp(−γ ‖p − s_j‖²) + b

p is the patch of the degraded frame around the pixel, s_j are patches of training scenes. C and γ are chosen on patches
of training scenes that were not fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

SIDE = 7
"""The side of a patch, in pixels."""
TUBE = 0.02
"""Errors below it cost nothing (ε), grey levels in [0, 1]."""
GRID = tuple((cost, width) for cost in (1.0, 10.0) for width in (0.3, 1.0))
"""C; and γ in units of 1 / (pixels of a patch × variance), scikit-learn's "scale"."""
CHUNK = 4096

Array = NDArray[np.float32]
Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class PatchSvr:
    """A fitted regression. support: (S, 49). weights: α, (S,). bias: b. gamma: γ. cost: C."""

    support: Tensor
    weights: Tensor
    bias: float
    gamma: float
    cost: float

    def __call__(self, frames: Array) -> Array:
        """(T, H, W) in [0, 1], degraded → restored, clipped. Products of matrices: libsvm takes minutes for a frame."""
        found = torch.cat([self._regress(chunk) for chunk in _patches(torch.from_numpy(frames)).split(CHUNK)])
        return np.asarray(found.clamp(0, 1).reshape(frames.shape).numpy())

    def _regress(self, patches: Tensor) -> Tensor:
        kernel = torch.exp(-self.gamma * torch.cdist(patches, self.support) ** 2)
        return kernel @ self.weights + self.bias


def fit_svr(draw: Callable[[np.random.Generator], Sequence[Tensor]], count: int, rng: np.random.Generator) -> PatchSvr:
    """Fit on ``count`` patches, and choose C and γ on half as many others.

    Args:
        draw: (degraded, whole) frames of training scenes, N×T×H×W in [0, 1].
    """
    patches, pixels = _sample(draw, count, rng)
    others, answers = _sample(draw, count // 2, rng)
    fits = [_fit(patches, pixels, cost, width) for cost, width in GRID]
    errors = [float(((fit._regress(others) - answers) ** 2).mean()) for fit in fits]
    return fits[int(np.argmin(errors))]


def _fit(patches: Tensor, pixels: Tensor, cost: float, width: float) -> PatchSvr:
    from sklearn.svm import SVR

    gamma = width / (patches.shape[1] * float(patches.var()))
    model: Any = SVR(C=cost, gamma=gamma, epsilon=TUBE).fit(patches.numpy(), pixels.numpy())
    support, weights = (torch.from_numpy(np.float32(part)) for part in (model.support_vectors_, model.dual_coef_[0]))
    return PatchSvr(support, weights, float(model.intercept_[0]), gamma, cost)


def _sample(draw: Callable[[np.random.Generator], Sequence[Tensor]], count: int, rng: np.random.Generator) -> Pair:
    """Patches (count, 49) and the whole pixels in their middle (count,), from as many frames as there may be."""
    patches: list[Tensor] = []
    pixels: list[Tensor] = []
    while sum(map(len, patches)) < count:
        degraded, whole = (part.flatten(0, 1) for part in draw(rng))
        chosen = torch.from_numpy(rng.choice(whole.numel(), min(whole.numel(), max(1, count // 8)), replace=False))
        patches.append(_patches(degraded)[chosen])
        pixels.append(whole.flatten()[chosen])
    return torch.cat(patches)[:count], torch.cat(pixels)[:count]


def _patches(frames: Tensor) -> Tensor:
    """(T, H, W) → (T·H·W, 49), the border repeated."""
    around = F.pad(frames[:, None], (SIDE // 2,) * 4, mode="replicate")
    return F.unfold(around, SIDE).permute(0, 2, 1).reshape(-1, SIDE * SIDE)

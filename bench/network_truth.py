"""Convolutions and the compact network in NumPy and float64, for kernels to be compared with; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgerecon.cuda.kernels.compact import Layer


def convolution(x: np.ndarray, weight: np.ndarray, dilation: int) -> np.ndarray:
    """(N, H, W, C_in) → (N, H, W, C_out) float64, 3×3, SAME zero padding, no bias."""
    height, width = x.shape[1:3]
    padded = np.pad(x.astype(np.float64), ((0, 0), (dilation, dilation), (dilation, dilation), (0, 0)))
    taps = weight.astype(np.float64).transpose(2, 3, 1, 0)
    found = np.zeros((*x.shape[:3], weight.shape[0]))
    for dy, dx in np.ndindex(3, 3):
        found += padded[:, dy * dilation :, dx * dilation :][:, :height, :width] @ taps[dy, dx]
    return found


def compact(layers: Sequence[Layer], frames: np.ndarray) -> np.ndarray:
    """Frames (N, H, W) through the network, rounded where its file rounds: between layers, to halves or to bytes."""
    images, height, width = frames.shape
    x = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2)), "edge")
    cells = x.reshape(images, x.shape[1] // 2, 2, x.shape[2] // 2, 2).transpose(0, 1, 3, 2, 4)
    z: Any = cells.reshape(*cells.shape[:3], 4)
    z = byte(z / np.float32(layers[0].before)) if layers[0].before else z
    half = layers[1].weight.dtype == np.float16
    for layer in layers:
        z = z.astype(np.float16) if half else z
        z = convolution(z, layer.weight, layer.dilation)
        step = np.ones(1) if layer.step is None else layer.step.astype(np.float64) * layer.before
        by = layer.after or 1.0
        z = z * (step / by).astype(np.float32).astype(np.float64) + (layer.bias / by).astype(np.float32)
        z = np.maximum(z, 0) if layer is not layers[-1] else z
        z = byte(z.astype(np.float32)) if layer.after else z
    shown = z.reshape(*cells.shape).transpose(0, 1, 3, 2, 4).reshape(x.shape) + x
    return np.asarray(shown[:, :height, :width], np.float64)


def byte(values: np.ndarray) -> np.ndarray:
    """Halves to even, saturated."""
    return np.clip(np.rint(values), -128, 127)

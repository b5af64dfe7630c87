"""Rounding the weights of a convolution so that its outputs, not its weights, change least.

Each weight is rounded in turn, and the weights that are still free and the bias take up what it did to the output:
optimal brain quantisation in the order and with the Cholesky factor of GPTQ (Frantar & Alistarh, NeurIPS 2022; Frantar
et al., ICLR 2023). The bias is the weight of an input that is always 1 and comes last, which makes the correction of
the mean that quantised networks need against darkening (Nagel et al., ICCV 2019) part of the same sum.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_DAMPING = 0.01


def patches(
    values: NDArray[np.float32],
    kernel: Sequence[int],
    dilations: Sequence[int],
    pads: Sequence[int],
    places: NDArray[np.int64],
) -> NDArray[np.float32]:
    """What a convolution sees at some of its outputs.

    Args:
        values: its input, (C, H, W). pads: zeros at the top, left, bottom, right.
        places: corner of each window in the padded input, (P, 2): output row and column times the stride.

    Returns:
        (P, C·kh·kw + 1), in the order of a flattened weight; the last column is 1.
    """
    padded = np.pad(values, ((0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    down = places[:, 0, None, None] + np.arange(kernel[0])[None, :, None] * dilations[0]
    across = places[:, 1, None, None] + np.arange(kernel[1])[None, None, :] * dilations[1]
    seen = padded[:, down, across].transpose(1, 0, 2, 3).reshape(len(places), -1)
    return np.concatenate([seen, np.ones((len(places), 1), np.float32)], axis=1)


def round_weights(
    weight: NDArray[np.float32], bias: NDArray[np.float32], scales: NDArray[np.float32], limit: int, moments: Array
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Integer weights, and the bias that goes with them.

    Args:
        weight: (C, …), K values a channel. bias: (C,). scales: step of each channel, (C,).
        limit: greatest magnitude of an integer. moments: Σ x xᵀ of the inputs that ``patches`` gives, (K + 1, K + 1).

    Returns:
        (C, …) in [−limit, limit], and (C,).
    """
    size = len(moments) - 1
    order = np.append(np.argsort(-np.diag(moments)[:size], kind="stable"), size)  # strong inputs first, the bias last
    free = np.concatenate([weight.reshape(len(weight), -1), bias[:, None]], axis=1).astype(np.float64)[:, order]
    damped = moments[np.ix_(order, order)] + _DAMPING * np.trace(moments) / (size + 1) * np.eye(size + 1)
    factor = np.linalg.cholesky(np.linalg.inv(damped)).T
    steps = scales.astype(np.float64)
    # The weight that set its channel's step keeps to the outermost level, so that the step can be told from the result.
    peaks = np.where(np.abs(free[:, :size]) > (limit - 1e-3) * steps[:, None], np.sign(free[:, :size]) * limit, 0)
    whole = np.empty((len(free), size))
    for k in range(size):
        nearest = np.clip(np.rint(free[:, k] / steps), -limit, limit)
        whole[:, k] = np.where(peaks[:, k], peaks[:, k], nearest)
        error = (free[:, k] - whole[:, k] * steps) / factor[k, k]
        free[:, k + 1 :] -= error[:, None] * factor[k, k + 1 :]
    placed = np.empty_like(whole)
    placed[:, order[:size]] = whole
    return placed.astype(np.int8).reshape(weight.shape), free[:, size].astype(np.float32)

"""SSIM as operators of torch: kernels/cuda/ssim.cu on a GPU, the plain formula anywhere else. Both have gradients.

``edgerecon::ssim_map`` and ``edgerecon::ssim_mean`` are registered with torch.library, so that autograd, torch.compile
and export know them. On a GPU the kernels read the tensors where they are and run on torch's current stream.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from edgerecon.core.errors import UsageError
from edgerecon.cuda.kernels.load import enter, load
from edgerecon.cuda.kernels.ssim import SIZE, Border, Images, Ssim
from edgerecon.workshop.train.ssim import C1, C2, SIGMA


def ssim_map(a: Tensor, b: Tensor, border: Border = "valid") -> Tensor:
    """Structural similarity of every window: (N, C, H, W) twice, in [0, 1] → (N, C, H, W), 10 less at "valid" borders.

    Wang et al., IEEE Trans. Image Process. 13(4), 2004: Gaussian window 11×11, σ = 1.5, C1 = 0.01², C2 = 0.03²,
    population covariance; beyond "same" borders the images are zero. float32, or float64 when the images are.

    Raises:
        UsageError: other shapes, types, layouts or devices. EngineError: on a GPU, see ``edgerecon.cuda.kernels.load``.
    """
    _check(a, b, border)
    return cast(Tensor, torch.ops.edgerecon.ssim_map(a, b, border, _learns(a, b))[0])


def ssim_mean(a: Tensor, b: Tensor, border: Border = "valid") -> Tensor:
    """Mean of ``ssim_map`` for each image: (N,)."""
    _check(a, b, border)
    return cast(Tensor, torch.ops.edgerecon.ssim_mean(a, b, border, _learns(a, b))[0])


def ssim_reference(a: Tensor, b: Tensor, border: str) -> Tensor:
    """The formula with torch's own operators: see ``ssim_map``."""
    value, *_ = _similarity(a, b, border)
    return value


def _similarity(a: Tensor, b: Tensor, border: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """SSIM = A₁A₂/(B₁B₂) of every window, and its derivatives by E[a], E[a²] and E[ab]."""
    across, down, pad = _window(a, border)
    stack = torch.stack([a, b, a * a, b * b, a * b]).reshape(-1, 1, *a.shape[2:])
    means = F.conv2d(F.conv2d(stack, across, padding=(0, pad)), down, padding=(pad, 0))
    mean_a, mean_b, mean_aa, mean_bb, mean_ab = means.reshape(5, *a.shape[:2], *means.shape[2:])
    product, squares = mean_a * mean_b, mean_a**2 + mean_b**2
    a1, a2 = 2 * product + C1, 2 * (mean_ab - product) + C2
    b1, b2 = squares + C1, mean_aa + mean_bb - squares + C2
    value = a1 * a2 / (b1 * b2)
    by_mean = 2 * mean_b * (a2 - a1) / (b1 * b2) - 2 * mean_a * value * (1 / b1 - 1 / b2)
    return value, by_mean, -value / b2, 2 * a1 / (b1 * b2)


def _window(a: Tensor, border: str) -> tuple[Tensor, Tensor, int]:
    """Taps across and down, and the border's zeros."""
    offsets = torch.arange(SIZE, dtype=torch.float64) - SIZE // 2
    taps = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    taps = (taps / taps.sum()).to(a)
    return taps.reshape(1, 1, 1, SIZE), taps.reshape(1, 1, SIZE, 1), SIZE // 2 if border == "same" else 0


def _gradient_reference(a: Tensor, b: Tensor, flow: Tensor, border: str) -> Tensor:
    """w∗(g·∂₁) + 2a·w∗(g·∂₂) + b·w∗(g·∂₃), g being what flows into the map and ∂ its derivatives."""
    across, down, pad = _window(a, border)
    stack = torch.stack([flow * by for by in _similarity(a, b, border)[1:]]).reshape(-1, 1, *flow.shape[2:])
    spread = F.conv_transpose2d(F.conv_transpose2d(stack, down, padding=(pad, 0)), across, padding=(0, pad))
    mean, square, product = spread.reshape(3, *a.shape)
    return mean + 2 * a * square + b * product


def _check(a: Tensor, b: Tensor, border: str) -> None:
    if a.shape != b.shape or a.ndim != 4 or a.dtype != b.dtype or a.device != b.device:
        first, second = (f"{tuple(x.shape)} {x.dtype} on {x.device}" for x in (a, b))
        raise UsageError(f"SSIM needs two (N, C, H, W) tensors of one shape, type and device, not {first} and {second}")
    known = (torch.float32, torch.float16) + (() if a.is_cuda else (torch.float64,))
    if a.dtype not in known:
        raise UsageError(f"SSIM takes {' or '.join(map(str, known))} on {a.device.type}, not {a.dtype}")
    if not (a.is_contiguous() and b.is_contiguous()):
        raise UsageError("SSIM needs contiguous tensors: call .contiguous() on them")
    _images(a, border)


def _learns(a: Tensor, b: Tensor) -> bool:
    return torch.is_grad_enabled() and (a.requires_grad or b.requires_grad)


def _images(a: Tensor, border: str) -> Images:
    return Images(tuple(a.shape), a.dtype == torch.float16, cast(Border, border))  # type: ignore[arg-type]


def _at_least_float32(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


# Each operator returns its result and, if ``keep``, what its gradient needs: the derivatives of the map, empty away
# from a GPU, where they are computed again.


@torch.library.custom_op("edgerecon::ssim_map", mutates_args=())
def _map(a: Tensor, b: Tensor, border: str, keep: bool) -> tuple[Tensor, Tensor]:
    if not a.is_cuda:
        return ssim_reference(_at_least_float32(a), _at_least_float32(b), border), a.new_empty(0)
    images = _images(a, border)
    found = a.new_empty((*a.shape[:2], *images.windows), dtype=torch.float32)
    derivatives = a.new_empty((3, *found.shape) if keep else 0, dtype=torch.float32)
    with torch.cuda.device(a.device):
        _kernels(a).forward(
            images,
            a.data_ptr(),
            b.data_ptr(),
            map=found.data_ptr(),
            derivatives=derivatives.data_ptr() if keep else None,
            stream=_stream(a),
        )
    return found, derivatives


@torch.library.custom_op("edgerecon::ssim_mean", mutates_args=())
def _mean(a: Tensor, b: Tensor, border: str, keep: bool) -> tuple[Tensor, Tensor]:
    if not a.is_cuda:
        return ssim_reference(_at_least_float32(a), _at_least_float32(b), border).mean(dim=(1, 2, 3)), a.new_empty(0)
    images = _images(a, border)
    means = a.new_empty(a.shape[0], dtype=torch.float32)
    derivatives = a.new_empty((3, *a.shape[:2], *images.windows) if keep else 0, dtype=torch.float32)
    with torch.cuda.device(a.device):
        kernels = _kernels(a)
        totals = a.new_empty(kernels.totals(images), dtype=torch.float32)
        kernels.forward(
            images,
            a.data_ptr(),
            b.data_ptr(),
            derivatives=derivatives.data_ptr() if keep else None,
            totals=totals.data_ptr(),
            stream=_stream(a),
        )
        kernels.mean(images, totals.data_ptr(), means.data_ptr(), stream=_stream(a))
    return means, derivatives


@torch.library.custom_op("edgerecon::ssim_gradient", mutates_args=())
def _gradient(a: Tensor, b: Tensor, derivatives: Tensor, into: Tensor, border: str) -> Tensor:
    """With respect to a, from what flows into the map (N, C, rows, columns) or into the means (N,)."""
    if not a.is_cuda:
        flow = into if into.ndim == 4 else _into_windows(into, _images(a, border))
        return _gradient_reference(_at_least_float32(a), _at_least_float32(b), flow, border).to(a.dtype)
    gradient, into = torch.empty_like(a), into.float().contiguous()
    towards = {"flow" if into.ndim == 4 else "scales": into.data_ptr()}
    with torch.cuda.device(a.device):
        _kernels(a).backward(
            _images(a, border),
            a.data_ptr(),
            b.data_ptr(),
            derivatives.data_ptr(),
            gradient.data_ptr(),
            stream=_stream(a),
            **towards,
        )
    return gradient


def _into_windows(into: Tensor, images: Images) -> Tensor:
    """What flows into each window when ``into`` (N,) flows into the means."""
    shape = (*images.shape[:2], *images.windows)
    return (into / math.prod(shape[1:])).reshape(-1, 1, 1, 1).expand(shape)


def _stream(a: Tensor) -> int:
    return int(torch.cuda.current_stream(a.device).cuda_stream)


def _kernels(a: Tensor) -> Ssim:
    """Of the tensor's GPU, which is torch's current one; autograd calls from threads of its own."""
    enter(a.device.index)
    return _loaded(a.device.index)


@lru_cache(maxsize=16)
def _loaded(device: int) -> Ssim:
    return Ssim(load("ssim"))


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, str, bool], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs[:2], output[1])
    ctx.border = inputs[2]
    ctx.mark_non_differentiable(output[1])


def _gradients(ctx: Any, into: Tensor, _: Tensor | None) -> tuple[Tensor | None, Tensor | None, None, None]:
    a, b, derivatives = ctx.saved_tensors
    first = second = None
    if ctx.needs_input_grad[0]:
        first = torch.ops.edgerecon.ssim_gradient(a, b, derivatives, into, ctx.border)
    if ctx.needs_input_grad[1]:  # SSIM is symmetric
        if a.is_cuda:
            derivatives = torch.ops.edgerecon.ssim_map(b, a, ctx.border, True)[1]
        second = torch.ops.edgerecon.ssim_gradient(b, a, derivatives, into, ctx.border)
    return first, second, None, None


def _windows(a: Tensor, border: str, keep: bool) -> tuple[Tensor, Tensor]:
    """Map and derivatives as shapes alone, for tracing."""
    lost = 0 if border == "same" else SIZE - 1
    shape = (*a.shape[:2], a.shape[2] - lost, a.shape[3] - lost)
    kind = torch.float64 if a.dtype == torch.float64 else torch.float32
    derivatives = a.new_empty((3, *shape), dtype=torch.float32) if a.is_cuda and keep else a.new_empty(0)
    return a.new_empty(shape, dtype=kind), derivatives


@_map.register_fake
def _map_shapes(a: Tensor, b: Tensor, border: str, keep: bool) -> tuple[Tensor, Tensor]:
    return _windows(a, border, keep)


@_mean.register_fake
def _mean_shapes(a: Tensor, b: Tensor, border: str, keep: bool) -> tuple[Tensor, Tensor]:
    windows, derivatives = _windows(a, border, keep)
    return windows.new_empty(a.shape[0]), derivatives


@_gradient.register_fake
def _gradient_shapes(a: Tensor, b: Tensor, derivatives: Tensor, into: Tensor, border: str) -> Tensor:
    return torch.empty_like(a)


for _operator in (_map, _mean):
    _operator.register_autograd(_gradients, setup_context=_keep)

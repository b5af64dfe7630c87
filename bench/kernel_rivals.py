"""SSIM as torch users call it, forward and backward: the toolkit's operator and the published fused-ssim, in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np

REPEATS = 31


def ssim_rivals(shapes: list[tuple[int, int, int, int]]) -> Iterator[dict[str, Any]]:
    """{shape, edgerecon_us, fused_ssim_us, speed}, or why there is none; medians, launched from Python, in turn."""
    missing = [name for name in ("torch", "fused_ssim") if find_spec(name) is None]
    if missing:
        yield {"status": f"not compared with fused-ssim: {', '.join(missing)} not installed"}
        return
    import torch

    if not torch.cuda.is_available():
        yield {"status": "not compared with fused-ssim: torch has no GPU"}
        return
    from fused_ssim import fused_ssim

    from edgerecon.workshop.train.ssim_kernel import ssim_mean

    for shape in shapes:
        a, b = (torch.rand(shape, device="cuda") for _ in range(2))
        a.requires_grad_()
        ours = lambda a=a, b=b: ssim_mean(a, b, "same").mean().backward()  # noqa: E731
        theirs = lambda a=a, b=b: fused_ssim(a, b, padding="same").backward()  # noqa: E731
        times: dict[Any, list[float]] = {ours: [], theirs: []}
        for _ in range(REPEATS):
            for work, spent in times.items():
                a.grad = None
                spent.append(_elapsed_us(torch, work))
        medians = [float(np.median(spent[3:])) for spent in times.values()]
        yield {
            "shape": shape,
            "edgerecon_us": medians[0],
            "fused_ssim_us": medians[1],
            "speed": medians[1] / medians[0],
            "status": "ok",
        }


def _elapsed_us(torch: Any, work: Callable[[], None]) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return float(1000 * start.elapsed_time(end))

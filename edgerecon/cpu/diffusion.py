"""Diffusion of the CPU kernels, kernels/cpu/diffusion.h."""

from __future__ import annotations

from edgerecon.cpu.frame_filter import CpuFrameFilter
from edgerecon.cpu.library import Library


class CpuDiffusion(CpuFrameFilter):
    """Diffusion that stops at gradients, see ``CpuFrameFilter``.

    Args:
        shape: (H, W). iterations: steps. kappa: gradient in levels a pixel. step: of time, stable up to 0.25.
    """

    def __init__(
        self,
        library: Library,
        shape: tuple[int, int],
        iterations: int,
        kappa: float,
        step: float,
        threads: int,
        instruction_set: str = "",
    ) -> None:
        values = (iterations, float(kappa), float(step))
        super().__init__(library, "diffusion", shape, values, threads, instruction_set)

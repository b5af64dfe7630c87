"""Non-local means of the CPU kernels, kernels/cpu/nlm.h."""

from __future__ import annotations

from edgerecon.cpu.frame_filter import CpuFrameFilter
from edgerecon.cpu.library import Library


class CpuNonLocalMeans(CpuFrameFilter):
    """Non-local means, see ``CpuFrameFilter``.

    Args:
        shape: (H, W). patch, search: odd sides of the compared patches and of the window, in pixels. h: in levels.
    """

    def __init__(
        self,
        library: Library,
        shape: tuple[int, int],
        patch: int,
        search: int,
        h: float,
        threads: int,
        instruction_set: str = "",
    ) -> None:
        super().__init__(library, "nlm", shape, (patch, search, float(h)), threads, instruction_set)

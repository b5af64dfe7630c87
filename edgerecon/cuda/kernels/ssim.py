"""Launches of ssim.cu: sizes, grids and checks, for whoever has the images on the GPU."""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from typing import Literal

from edgerecon.core.errors import UsageError
from edgerecon.cuda.kernels.load import Module

Border = Literal["same", "valid"]

SIZE = 11
COLUMNS = 128
"""Threads of a block, each with a column of windows."""
_BLOCKS_PER_MULTIPROCESSOR = 4
_HEIGHTS = (128, 64, 32, 16)
_LARGEST_GRID = 65_535


@dataclass(frozen=True)
class Images:
    """A batch on the GPU: (N, C, H, W), contiguous.

    Attributes:
        half: float16 instead of float32. border: "same" (zeros beyond the image) or "valid" (windows inside it).
    """

    shape: tuple[int, int, int, int]
    half: bool
    border: Border

    def __post_init__(self) -> None:
        if self.border not in ("same", "valid"):
            raise UsageError(f"SSIM has the borders 'same' and 'valid', not '{self.border}'")
        if min(self.shape) < 1 or self.planes > _LARGEST_GRID:
            raise UsageError(f"SSIM takes 1 to {_LARGEST_GRID} planes of at least one pixel, not {self.shape}")
        if min(self.windows) < 1:
            raise UsageError(f"SSIM with 'valid' borders needs images of at least {SIZE}×{SIZE}, not {self.shape[2:]}")

    @property
    def planes(self) -> int:
        """N·C."""
        return self.shape[0] * self.shape[1]

    @property
    def windows(self) -> tuple[int, int]:
        """Height and width of the map."""
        lost = 0 if self.border == "same" else SIZE - 1
        return self.shape[2] - lost, self.shape[3] - lost

    def __str__(self) -> str:
        return f"{'×'.join(map(str, self.shape))} {'float16' if self.half else 'float32'}, {self.border} borders"


def strip(size: tuple[int, int], planes: int, multiprocessors: int) -> tuple[int, tuple[int, int, int]]:
    """Rows of a block and grid for an output: the tallest strips (least halo) that still fill the GPU."""
    across = -(-size[1] // COLUMNS)
    wanted = _BLOCKS_PER_MULTIPROCESSOR * multiprocessors
    fitting = (rows for rows in _HEIGHTS if across * planes * -(-size[0] // rows) >= wanted)
    rows = max(next(fitting, _HEIGHTS[-1]), -(-size[0] // _LARGEST_GRID))
    return rows, (across, -(-size[0] // rows), planes)


class Ssim:
    """The kernels of one GPU; addresses are those of GPU memory, streams handles. Wants its context to be current."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._forward = {half: module.function(f"ssim_forward_{name}") for half, name in ((0, "f32"), (1, "f16"))}
        self._backward = {half: module.function(f"ssim_backward_{name}") for half, name in ((0, "f32"), (1, "f16"))}
        self._mean = module.function("ssim_mean")

    def totals(self, images: Images) -> int:
        """How many float32 the blocks' totals of a forward pass are."""
        return math.prod(strip(images.windows, images.planes, self._module.multiprocessors)[1])

    def forward(
        self,
        images: Images,
        a: int,
        b: int,
        *,
        map: int | None = None,
        derivatives: int | None = None,
        totals: int | None = None,
        stream: int,
    ) -> None:
        """Map (N·C, rows, columns) of ``windows``, its derivatives (3, N·C, rows, columns), and the blocks' totals."""
        rows, grid = strip(images.windows, images.planes, self._module.multiprocessors)
        pointers = [ctypes.c_void_p(address) for address in (a, b, map, derivatives, totals)]
        self._forward[images.half].launch(
            grid, (COLUMNS, 1, 1), [*_plane(images), ctypes.c_int(rows), *pointers], stream, str(images)
        )

    def mean(self, images: Images, totals: int, means: int, *, stream: int) -> None:
        """Means (N,), float32, from the blocks' totals of a forward pass."""
        each = self.totals(images) // images.shape[0]
        factor = 1 / (images.shape[1] * math.prod(images.windows))
        arguments = [ctypes.c_void_p(totals), ctypes.c_int(each), ctypes.c_double(factor), ctypes.c_void_p(means)]
        self._mean.launch((images.shape[0], 1, 1), (256, 1, 1), arguments, stream, str(images))

    def backward(
        self,
        images: Images,
        a: int,
        b: int,
        derivatives: int,
        gradient: int,
        *,
        flow: int | None = None,
        scales: int | None = None,
        stream: int,
    ) -> None:
        """Gradient of a, from ``flow`` (N·C, rows, columns) into the map or ``scales`` (N,) into the means."""
        rows, grid = strip(images.shape[2:], images.planes, self._module.multiprocessors)
        factor = 1 / (images.shape[1] * math.prod(images.windows)) if scales is not None else 1.0
        self._backward[images.half].launch(
            grid,
            (COLUMNS, 1, 1),
            [
                *_plane(images),
                ctypes.c_int(rows),
                *(ctypes.c_void_p(x) for x in (a, b, derivatives, flow, scales)),
                ctypes.c_int(images.shape[1]),
                ctypes.c_float(factor),
                ctypes.c_void_p(gradient),
            ],
            stream,
            str(images),
        )


def _plane(images: Images) -> list[ctypes.c_int]:
    border = SIZE // 2 if images.border == "same" else 0
    return [ctypes.c_int(number) for number in (*images.shape[2:], border)]

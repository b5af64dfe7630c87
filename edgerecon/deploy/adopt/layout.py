"""How a network lays out its pictures: which axis is batch, channel, row and column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.frame import Image

Dims = tuple[int | None, ...]
"""The lengths of a port's axes; None for an axis of any length."""

LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601, as ``edgerecon.core.frame.to_gray``."""
MAX_SCALE = 8
_GREY_OR_COLOUR = (1, 3)
_LEAST = 8
"""Rows and columns of a picture; an axis that states fewer is of something else."""
_ORDERS = {4: ("NCHW", "NHWC"), 3: ("NHW", "CHW", "HWC"), 2: ("HW",)}


@dataclass(frozen=True)
class Layout:
    """Axes of an array that holds a picture.

    Attributes:
        axes: "NCHW", "NHWC", "NHW", "CHW", "HWC" or "HW". channels: how many; 1 where there is no such axis.
        batch: pictures that the array holds; 1 where there is no such axis.
    """

    axes: str
    channels: int = 1
    batch: int = 1

    def lay(self, picture: NDArray[Any]) -> NDArray[Any]:
        """(channels, H, W) → an array of this layout; a batch repeats it."""
        moved = (
            picture.transpose([("CHW").index(axis) for axis in self.axes if axis in "CHW" and axis != "N"])
            if ("C" in self.axes)
            else picture[0]
        )
        return np.repeat(moved[None], self.batch, axis=0) if "N" in self.axes else moved

    def take(self, array: NDArray[Any]) -> NDArray[Any]:
        """An array of this layout → its first picture, (channels, H, W)."""
        one = array[0] if "N" in self.axes else array
        rest = self.axes.removeprefix("N")
        return one.transpose([rest.index(axis) for axis in "CHW"]) if "C" in rest else one[None]

    def shape(self, height: int, width: int) -> tuple[int, ...]:
        """Of an array for frames of a size."""
        lengths = {"N": self.batch, "C": self.channels, "H": height, "W": width}
        return tuple(lengths[axis] for axis in self.axes)


def grey(picture: NDArray[Any]) -> Image:
    """(1 or 3, H, W) → (H, W): the picture itself, or its luminance."""
    if len(picture) == 1:
        return np.asarray(picture[0], np.float32)
    return np.asarray(np.tensordot(np.asarray(LUMA, np.float32), picture.astype(np.float32), 1), np.float32)


def input_layouts(dims: Dims) -> list[Layout]:
    """Layouts that an input of such axes may have, the likeliest first."""
    found = []
    for axes in _ORDERS.get(len(dims), ()):
        lengths = dict(zip(axes, dims, strict=True))
        channels = lengths.get("C", 1)
        if channels is not None and channels not in _GREY_OR_COLOUR:
            continue
        if any((lengths[axis] or _LEAST) < _LEAST for axis in "HW"):
            continue
        if axes == "NHW" and lengths["N"] == 3:
            continue  # colour without a batch axis
        if axes in ("CHW", "HWC") and channels is None:
            continue
        batch = lengths.get("N", 1) or 1
        found += [Layout(axes, count, batch) for count in ([channels] if channels else _GREY_OR_COLOUR)]
    # A channel axis that states its length says more than one of any length; a batch says least.
    return sorted(found, key=lambda one: (one.batch > 1, "C" in one.axes and dims[one.axes.index("C")] is None))


def output_layout(shape: tuple[int, ...], height: int, width: int) -> tuple[Layout, int] | str:
    """Layout and scale of an array that came out for an H×W picture; or, in words, why it is no picture.

    H and W must differ, else rows and columns cannot be told apart.
    """
    nearly = ""
    for axes in _ORDERS.get(len(shape), ()):
        lengths = dict(zip(axes, shape, strict=True))
        rows, columns = lengths["H"], lengths["W"]
        scale = rows // height
        if 1 <= scale and (rows, columns) == (scale * height, scale * width):
            if scale > MAX_SCALE:
                return f"it enlarges ×{scale}, the most is ×{MAX_SCALE}"
            return Layout(axes, lengths.get("C", 1), lengths.get("N", 1)), scale
        nearly = nearly or _nearly(rows, columns, height, width)
    return nearly or f"its shape {list(shape)} has no rows and columns of a {height}×{width} picture"


def _nearly(rows: int, columns: int, height: int, width: int) -> str:
    """What is wrong with an output that is almost a picture of the frame's size; "" for all else."""
    shape = f"{rows}×{columns} for a frame of {height}×{width}"
    for scale in range(1, MAX_SCALE + 1):
        if (rows, columns) == (scale * width, scale * height):
            return f"rows and columns are exchanged ({shape}): transpose the output"
        if max(abs(rows - scale * height), abs(columns - scale * width)) <= max(2, min(height, width) // 4):
            return f"it gives {shape}, which is no whole multiple: pad or crop inside the network"
    if 0 < height - rows == width - columns < min(height, width):
        return f"it gives {shape}: convolutions without padding take its border away; pad inside the network"
    if rows < height and columns < width and height % max(rows, 1) == 0 and width % max(columns, 1) == 0:
        return f"it gives {shape}: a picture must not become smaller"
    return ""

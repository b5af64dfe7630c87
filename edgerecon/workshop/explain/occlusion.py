"""Occlusion (Zeiler & Fergus, ECCV 2014): what the region loses when a patch of the frame is hidden.

    m(p) = mean over the patches P that cover p of  f(x) − f(x with P replaced by the frame's mean)

f is the mean of the reconstruction over the region, as an engine shows it. No gradients: any runtime will do.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from edgerecon.core.frame import Image
from edgerecon.quality.regions import Box, crop

_SHARE = 16
"""A patch's side is the shorter side of the frame over this, at least 4; patches overlap by half."""


def occlusion(
    run: Callable[[Image], Image],
    frame: Image,
    region: Box,
    *,
    scale: int = 1,
    sees: int = 0,
    on_patch: Callable[[int, int], None] = lambda done, total: None,
) -> Image:
    """Occlusion map, float32 H×W, in units of f; positive where the frame raises f.

    Args:
        run: an engine's. frame: float32 H×W in [0, 1]. region: of the reconstruction.
        scale: of the model. sees: side of its receptive field; patches that the region cannot see are left at 0.
            0: unknown, all patches are tried.
        on_patch: called with (done, patches).
    """
    whole = float(crop(run(frame), region).mean(dtype=np.float64))
    grey = frame.mean()
    change, covered = np.zeros((2, *frame.shape))
    patches = _patches(frame.shape, _seen(region, scale, sees, frame.shape))
    for done, box in enumerate(patches, 1):
        at = slice(box[0], box[2]), slice(box[1], box[3])
        hidden = frame.copy()
        hidden[at] = grey
        change[at] += whole - float(crop(run(hidden), region).mean(dtype=np.float64))
        covered[at] += 1
        on_patch(done, len(patches))
    return np.asarray(change / np.maximum(covered, 1), np.float32)


def _seen(region: Box, scale: int, sees: int, shape: tuple[int, ...]) -> Box:
    """What of the frame the region may depend on. A field need not be centred: its whole side is added all around."""
    y0, x0, y1, x1 = region
    if not sees:
        return 0, 0, shape[0], shape[1]
    return (
        max(0, y0 // scale - sees),
        max(0, x0 // scale - sees),
        min(shape[0], -(-y1 // scale) + sees),
        min(shape[1], -(-x1 // scale) + sees),
    )


def _patches(shape: tuple[int, ...], seen: Box) -> list[Box]:
    """Squares on one grid over the frame, whatever the region, that touch what is seen."""
    side = max(4, min(shape) // _SHARE)
    step = side // 2
    corners = product(range(0, shape[0], step), range(0, shape[1], step))
    boxes = [(y, x, min(y + side, shape[0]), min(x + side, shape[1])) for y, x in corners]
    return [(a, b, c, d) for a, b, c, d in boxes if a < seen[2] and c > seen[0] and b < seen[3] and d > seen[1]]

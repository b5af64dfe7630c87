"""The halo of tiles: how far from its border a network of one size may be trusted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgerecon.core.errors import GateError
from edgerecon.core.frame import Image
from edgerecon.deploy.adopt.frames import centre_crop
from edgerecon.deploy.adopt.maps import MapReading
from edgerecon.deploy.adopt.network import Network
from edgerecon.deploy.adopt.range_trial import Reading

SEAM = 1 / 255
"""Tiles may differ by less than a grey level where one takes over from the other."""
_MOST = 0.4
"""The share of a tile that may be halo on either side."""


def find_halo(
    network: Network, reading: Reading | MapReading, size: tuple[int, int], frames: Sequence[Image], multiple: int
) -> int:
    """The least halo with which tiles of a size join without seams, pixels.

    The same picture is run in two tiles, one of them shifted by a third: where both are farther from their borders than
    the halo, they must agree.

    Raises:
        GateError: no halo does; the network sees all of its picture wherever it is.
    """
    rows, columns = size
    down, right = (max(multiple, length // 3 // multiple * multiple) for length in size)
    by_distance: list[Image] = []
    for frame in frames:
        picture = centre_crop(frame, (rows + down, columns + right))
        first = _run(network, reading, picture[:rows, :columns])
        second = _run(network, reading, picture[down:, right:])
        scale = network.result.scale
        difference = np.abs(first[down * scale :, right * scale :] - second[: -down * scale, : -right * scale])
        by_distance.append(_by_distance(difference, scale))
    from_here_on = np.maximum.accumulate(np.max(by_distance, axis=0)[::-1])[::-1]
    joins = np.flatnonzero(from_here_on < SEAM)
    halo = -(-int(joins[0]) // multiple) * multiple if joins.size else min(size)
    if halo > _MOST * min(size):
        raise GateError(
            f"the network takes {rows}×{columns} pictures alone and sees each of them whole, so that tiles of it would "
            "show seams: export it with free rows and columns"
        )
    return halo


def _run(network: Network, reading: Reading | MapReading, frame: Image) -> Image:
    return np.clip(reading.picture(frame, network.run(frame, reading.given)), 0, 1)


def _by_distance(difference: Image, scale: int) -> Image:
    """The greatest difference at each distance from the nearer border of either tile, as far as the two have any.

    What both tiles have in common reaches from the upper left border of one to the lower right border of the other.
    """
    rows, columns = (np.arange(length) // scale for length in difference.shape)
    heights, widths = (np.minimum(along, along[::-1]) for along in (rows, columns))
    distance = np.minimum(heights[:, None], widths[None])
    found = np.zeros(int(distance.max()) + 1, np.float32)
    np.maximum.at(found, distance.ravel(), difference.ravel())
    return found

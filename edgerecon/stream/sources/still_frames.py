"""Some frames of a recording, in memory: what models are tried, timed and compared on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from typing import TypeVar

import numpy as np

from edgerecon.core.errors import SourceError
from edgerecon.core.frame import RawImage
from edgerecon.stream.sources import open_source

One = TypeVar("One")


def read_frames(uri: str = "sample", among: int | None = None) -> list[RawImage]:
    """Whole frames as they come, of the first ``among`` captures or of all, gaps and faults left out.

    Args:
        uri: as ``open_source`` takes it; by default the echocardiography cine that ships inside pydicom (30 frames of
            240×320, uint8). A live source never ends: give ``among`` then.

    Raises:
        SourceError: see ``open_source``; or there is no whole frame.
    """
    with closing(open_source(uri)) as source:
        frames = [one.image.copy() for one in islice(source.frames(), among) if one.image is not None]
    if not frames:
        raise SourceError(f"{uri} holds no frame")
    return frames


def spread(items: Sequence[One], count: int) -> list[One]:
    """So many of them, evenly spread from the first to the last; some of them twice where there are fewer."""
    return [items[index] for index in np.linspace(0, len(items) - 1, count).astype(int)]

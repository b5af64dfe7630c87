"""The part of a frame that a model is run on: the box around the tissue, and what the model sees beyond the tissue.

Beyond the tissue the nearest of its pixels is repeated, as far as the model sees, so that nothing spills out of the
surroundings into the picture or the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.frame import GreyLevels, Image
from edgerecon.stream.picture.tissue import Mask

_ALIGNED = 16
"""Pixels: sides of a box are multiples of it, so that runtimes are quick and see the same phase as in a whole frame."""
_SMALLEST = 64
"""Pixels: engines with a range of sizes are built for no smaller frames."""
_WATCHED = 4096
_REACH_AT_MOST = 32
"""Pixels that are filled beyond the tissue at most."""


Box = tuple[slice, slice]
"""Rows and columns of a frame."""


@dataclass(frozen=True)
class Area:
    """What a model is run on, and what is taken from its result.

    Attributes:
        mask: of the frame. rows, columns: of the box around its tissue. reach: pixels that are filled beyond tissue.
        outside: what is not tissue within the box; uint8, C-contiguous.
        band, nearest: flat indices in the box: of pixels that are filled, and of the tissue that they are filled with.
        watched: flat indices in the frame of some pixels that are not tissue.
    """

    mask: Mask
    rows: slice
    columns: slice
    outside: Mask
    band: NDArray[np.intp]
    nearest: NDArray[np.intp]
    watched: NDArray[np.intp]

    @classmethod
    def of(cls, mask: Mask, reach: int, box: Box | None = None, still: NDArray[np.bool_] | None = None) -> Area:
        """The area of a mask.

        Args:
            box: a larger one than needed. still: where the frames did not move: what is watched; everywhere when None.
        """
        rows, columns = box or box_around(mask, reach)
        inside = np.ascontiguousarray(mask[rows, columns])
        band, nearest = _nearest_tissue(inside, min(reach, _REACH_AT_MOST))
        beyond = np.flatnonzero((mask == 0) if still is None else (mask == 0) & still)
        watched = beyond[:: max(1, len(beyond) // _WATCHED)]
        return cls(mask, rows, columns, np.bitwise_not(inside), band, nearest, watched)

    @property
    def whole(self) -> bool:
        """Whether all of the frame is tissue."""
        return self.outside.shape == self.mask.shape and not self.band.size

    @property
    def box(self) -> Box:
        """(rows, columns) of the box around the tissue, as slices."""
        return self.rows, self.columns

    def cover(self, frame: Image | GreyLevels, box: Image | GreyLevels) -> None:
        """Put what a model is shown into ``box``: the tissue, and beyond its border the nearest of its pixels again."""
        np.copyto(box, frame[self.rows, self.columns])
        flat = box.ravel()
        flat[self.band] = np.take(flat, self.nearest, mode="clip")  # other modes copy once more

    def surround(self, frame: Image | GreyLevels, out: Image | GreyLevels) -> None:
        """Copy what lies beyond the box from the frame."""
        rows, columns = self.rows, self.columns
        out[: rows.start], out[rows.stop :] = frame[: rows.start], frame[rows.stop :]
        out[rows, : columns.start], out[rows, columns.stop :] = (
            frame[rows, : columns.start],
            frame[rows, columns.stop :],
        )

    def paste(self, frame: Image, box: Image) -> None:
        """Copy what is not tissue within the box from the frame."""
        cv2.copyTo(frame[self.rows, self.columns], self.outside, box)


def box_around(mask: Mask, reach: int) -> Box:
    """The box of the tissue and what is seen beyond it; the whole frame where there is no tissue."""
    x, y, width, height = cv2.boundingRect(mask) if mask.any() else (0, 0, *mask.shape[::-1])
    reach = min(reach, _REACH_AT_MOST)
    return _side(y, y + height, reach, mask.shape[0]), _side(x, x + width, reach, mask.shape[1])


def whole_frame(mask: Mask) -> Box:
    """The box that a frame is."""
    return slice(0, mask.shape[0]), slice(0, mask.shape[1])


def _side(first: int, last: int, reach: int, length: int) -> slice:
    """The range with its reach, widened to multiples where the frame has room."""
    first, last = max(0, first - reach), min(length, last + reach)
    first = max(0, min(first, length - _SMALLEST))
    last = min(length, max(last, first + _SMALLEST))
    return slice(first - first % _ALIGNED, min(length, last + -last % _ALIGNED))


def _nearest_tissue(mask: Mask, reach: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Flat indices of the pixels within reach of tissue, and of the tissue pixel that is nearest to each."""
    if mask.all() or not mask.any():
        return np.empty(0, np.intp), np.empty(0, np.intp)
    distance, labels = cv2.distanceTransformWithLabels(
        np.bitwise_not(mask), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    tissue = np.flatnonzero(mask)
    index = np.zeros(int(labels.max()) + 1, np.intp)
    index[labels.ravel()[tissue]] = tissue
    band = np.flatnonzero((mask == 0) & (distance <= reach))
    return band, index[labels.ravel()[band]]

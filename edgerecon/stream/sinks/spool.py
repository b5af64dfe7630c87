"""The shown frames as bytes, one after another in a file beside the result, until that can be written whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgerecon.frame import Image
from edgerecon.stream.sinks.panel import fit_uint8
from edgerecon.stream.sinks.part import Part, written


class Spool:
    """Memory is bounded, the disk space is needed twice at the end. Frames of another size than the first are
    letterboxed.

    Attributes:
        path: of the file. count: of the frames in it. shape: (H, W) of each, None before the first.

    Raises:
        SinkError: the file cannot be written.
    """

    def __init__(self, part: Part) -> None:
        self.path: Path = part.temporary.with_suffix(".spool")
        self.count = 0
        self.shape: tuple[int, int] | None = None
        self._for = part.path
        with written(self._for):
            self._file = self.path.open("wb")

    def add(self, image: Image) -> None:
        """Append float32 (h, w) in [0, 1], rounded to 8 bits."""
        if self.shape is None:
            self.shape = (image.shape[0], image.shape[1])
            self._panel = np.empty(self.shape, np.float32)
            self._bytes: NDArray[np.uint8] = np.empty(self.shape, np.uint8)
        fit_uint8(image, self._panel, self._bytes)
        with written(self._for):
            self._file.write(self._bytes.data)
        self.count += 1

    def close(self, multiple: int = 1) -> None:
        """End the file, its length filled up with zeros to a multiple; it stays to be read."""
        with written(self._for):
            self._file.write(bytes(-self._file.tell() % multiple))
            self._file.close()

    def discard(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)

"""What every source of frames gives, whatever it reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from edgerecon.frame import RawImage

KINDS = "DICOM, video or raw H.264, a folder of PNG/JPEG/TIFF/BMP, .npz/.npy, .mha/.mhd, .nrrd, or 'sample'"
"""What ``open_source`` reads, for messages."""


@dataclass(slots=True)
class Capture:
    """One frame as captured, before any processing.

    Attributes:
        image: see ``edgerecon.frame.RawImage``; None when this frame could not be read.
        fault: why the frame could not be read ("truncated JPEG", ...), or None.
    """

    image: RawImage | None
    fault: str | None = None


class Source(Protocol):
    """Frames in order. Opening one raises ``SourceError`` when nothing can be read from it.

    Attributes:
        name: shown to people and written to reports; never patient data.
        period_s: time between two captures as the recording states it, or None when it does not.
        spacing_mm: (row, column) pixel spacing, or None when unknown.
        length: number of frames when known, else None.
    """

    name: str
    period_s: float | None
    spacing_mm: tuple[float, float] | None
    length: int | None

    def frames(self) -> Iterator[Capture]:
        """Each frame once, from the start; may be called again to loop. A bad frame is a ``Capture`` with a fault."""
        ...

    def close(self) -> None: ...

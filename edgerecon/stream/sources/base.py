"""What every source of frames gives, whatever it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from edgerecon.core.frame import Colour, RawImage
from edgerecon.core.pose import Pose


@dataclass(slots=True)
class Capture:
    """One frame as captured, before any processing.

    Attributes:
        image: see ``edgerecon.core.frame.RawImage``; None when this frame could not be read.
        fault: why the frame could not be read ("truncated JPEG", ...), or None.
        gap: frames that were lost before this one, as counted at the source (a sequence number that jumped, packets
            that were never complete, frames that waited longer than the source could keep them). 0 for recordings.
        captured_ns: ``time.perf_counter_ns()`` when the frame arrived here, or None: then it is when it was taken.
        spacing_mm: (row, column) pixel spacing of this frame, where it may change on the way, as when a sonographer
            changes depth. None: the source's ``spacing_mm``.
        torn: to be asked once the pixels were copied, where ``image`` lies in another process's memory: whether they
            changed meanwhile, and the copy is useless. None when they cannot.
        pose: where the image lies and what a tracker reported since the capture before; None when nobody said.
        time_s: when the frame was taken by the clock of the recording, seconds from any origin, or None: then it is a
            period after the frame before it.
        colour: what is drawn in colour in the frame, where ``image`` is grey; None: ``image`` says it.
        stages_ms: what the source itself spent on this frame, by step (channel data: demodulate, beamform, detect).

    Examples:
        >>> import numpy as np
        >>> Capture(np.zeros((240, 320), np.uint8), gap=2).fault is None
        True
    """

    image: RawImage | None
    fault: str | None = None
    gap: int = 0
    captured_ns: int | None = None
    spacing_mm: tuple[float, float] | None = None
    torn: Callable[[], bool] | None = None
    pose: Pose | None = None
    time_s: float | None = None
    stages_ms: Mapping[str, float] | None = None
    colour: Colour | None = None


class Source(Protocol):
    """Frames in order. Opening one raises ``SourceError`` when nothing can be read from it.

    Attributes:
        name: shown to people and written to reports; never patient data.
        period_s: time between two captures as the recording states it, or None when it does not.
        spacing_mm: (row, column) pixel spacing, or None when unknown.
        length: number of frames when known, else None.
        live: whether frames come when they come, as from a probe: they cannot wait, cannot be asked for again, and
            are paced by their arrival. False for recordings.

    Optional: ``uri``, what ``open_source`` was asked for, so that no sink overwrites it.

    Examples:
        >>> import numpy as np
        >>> class Ramp:
        ...     name, period_s, spacing_mm, length, live = "ramp", 0.04, None, 2, False
        ...     def frames(self): return (Capture(np.full((8, 8), 40 * n, np.uint8)) for n in range(2))
        ...     def close(self): pass
        >>> from edgerecon.stream.loop.stream import stream
        >>> stream(Ramp(), None, [], policy="every", pace=False).to_json()["presented"]
        2
    """

    live: bool
    name: str
    period_s: float | None
    spacing_mm: tuple[float, float] | None
    length: int | None

    def frames(self) -> Iterator[Capture]:
        """Each frame once, from the start; may be called again to loop. A bad frame is a ``Capture`` with a fault.

        A live source waits for the next frame for as long as there is none, and ends within 0.25 s of ``close``.
        """
        ...

    def close(self) -> None:
        """Give the recording or the connection back. Of a live source, any thread may call it, at any time."""
        ...

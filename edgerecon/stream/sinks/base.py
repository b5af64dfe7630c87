"""What every sink of frames accepts."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol

from edgerecon.core.frame import Frame, Image, plausible_spacing
from edgerecon.stream.accounting.counters import Counters

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Slider:
    """One number of a filter that may be set.

    Attributes:
        key: tells it from all others of the stream. filter, name: what people call it. value: now.
        low, high: what it may be. whole: whether it is a whole number.
    """

    key: str
    filter: str
    name: str
    value: float
    low: float
    high: float
    whole: bool = False


class Controls(Protocol):
    """What may be changed while a stream runs, from any thread; it holds from the next frame on.

    Attributes:
        strength: share of the model in the picture, in [0, 1]; setting another raises ``UsageError``. None: there is no
            model whose strength can be set.
    """

    strength: float | None

    def sliders(self) -> list[Slider]:
        """The numbers of the stream's filters."""
        ...

    def slide(self, key: str, value: float) -> None:
        """Set one of them. Raises ``UsageError``: there is none of that key, or the value is beyond its limits."""
        ...


@dataclass(frozen=True)
class StreamInfo:
    """What a sink may tell its viewer about the stream it is in.

    Attributes:
        source, model: names. backend, precision: of the engine. why: "auto" took that backend, or "".
        period_s: nominal frame period. deadline_ms: capture-to-present limit.
        spacing_mm: (row, column) pixel spacing of the output, or None; None also for one that no scanner has. A live
            source may learn it with its first frame: each frame carries its own.
        counters: the stream's live counters (read only).
        live: whether frames come when they come. Their times are then ``captured_ns``; those of a recording are its
            own, or follow from their numbers and ``period_s``.
        controls: what a sink may change while the stream runs; None: nothing.
        lossy: how the source was compressed with loss, as DICOM names the method (PS3.3 C.7.6.1.1.5); "" when only
            that is known, None when nothing is known of a loss.
    """

    source: str
    model: str
    backend: str
    precision: str
    period_s: float
    deadline_ms: float
    spacing_mm: tuple[float, float] | None
    counters: Counters
    live: bool = False
    lossy: str | None = None
    controls: Controls | None = None
    why: str = ""

    def __post_init__(self) -> None:
        known = plausible_spacing(self.spacing_mm)
        if known is None and self.spacing_mm is not None:
            _log.warning(
                "%s states pixels of %g × %g mm: no scanner has them, lengths stay unknown",
                self.source,
                *self.spacing_mm,
            )
        object.__setattr__(self, "spacing_mm", known)

    def time_ns(self, frame: Frame) -> int:
        """When the frame was taken: on a clock of the recording's own where it is one, else on the monotonic clock."""
        if frame.time_s is not None:
            return round(frame.time_s * 1e9)
        return frame.captured_ns if self.live else round(frame.sequence * self.period_s * 1e9)


class Sink(Protocol):
    """Presents frames. One call at a time, in the order open, present…, then close or abandon from another thread.

    Opening one raises ``SinkError`` when nothing could be written. ``present`` may be handed buffers that are reused
    for the next frame: a sink that keeps pixels copies them.

    Optional: ``abandon()`` ends a sink that failed, in place of ``close``. The stream also calls it while another call
    of the sink hangs, which is the one exception to one call at a time.

    Optional class attributes: ``quick = True``: ``present`` returns at once, whatever happens (it hands over to threads
    of its own); other sinks get a thread of their own beside a second sink. ``reopens = True``: after a failure the
    stream abandons the sink and calls ``open`` again, from another thread, until it succeeds (a connection; no file).

    Optional attributes: ``path``: the file that is written, ``folder``: where files are made and deleted,
    ``refers_to``: a file that must stay; a stream refuses to begin when they are its source or another sink's.
    ``close_s``: how long ``close`` may take, where the default of ``Fanout`` is too short for what it has to write.

    Examples:
        >>> class Brightness:
        ...     name = "brightness"
        ...     def open(self, info): self.levels = []
        ...     def present(self, before, after, late): self.levels.append(float(after.pixels.mean()))
        ...     def close(self): pass
        >>> from edgerecon.stream.loop.stream import stream
        >>> from edgerecon.stream.sources import open_source
        >>> sink = Brightness()
        >>> report = stream(open_source("sample"), None, [sink], policy="every", pace=False, frames=3)
        >>> len(sink.levels)
        3
    """

    name: str

    def open(self, info: StreamInfo) -> None:
        """Get ready, before the first frame. Raises SinkError when nothing could be written."""
        ...

    def present(self, before: Image, after: Frame, late: bool) -> None:
        """Show one frame.

        Args:
            before: the captured image, float32 (H, W) in [0, 1].
            after: the frame to show; ``after.status`` is RAW when it could not be processed.
            late: whether the deadline had passed.
        """
        ...

    def close(self) -> None:
        """Finish: files become whole and take their final name; safe to call again, and after ``abandon``."""
        ...


def abandon(sink: Sink) -> None:
    """End a sink that failed. A file never takes its final name then: what can be read of it stays under its temporary
    one. A sink without an ``abandon`` of its own has nothing to finish, and is closed."""
    getattr(sink, "abandon", sink.close)()

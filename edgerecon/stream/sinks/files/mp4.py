"""A side-by-side video, before | after, that browsers play."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edgerecon.core.errors import needed
from edgerecon.core.files import flush
from edgerecon.core.frame import Colour, Frame, Image, Status, to_rgb
from edgerecon.stream.protocols.spacing_comment import spacing_comment
from edgerecon.stream.sinks.files.file_sink import FileSink
from edgerecon.stream.sinks.files.panel import fit
from edgerecon.stream.sinks.files.stamps import Stamp, Stamps
from edgerecon.stream.sinks.kind import SinkKind
from edgerecon.stream.sources.files.budgeted_file import BudgetedFile
from edgerecon.stream.sources.files.mp4_index import PACKET_AT_MOST, check_sample_tables

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

_log = logging.getLogger(__name__)


_FRAGMENTED = {"movflags": "frag_every_frame+empty_moov+default_base_moof", "flush_packets": "1"}
_ENCODER = {"preset": "veryfast", "crf": "18", "tune": "zerolatency"}  # no frame waits in the encoder
_TICKS_A_SECOND = 90_000
"""About as fine as video is usually stamped; a period of the nominal rate is a whole number of ticks."""


class Mp4Sink(FileSink):
    """H.264 (yuv420p, index at the front). Frames of a recording follow at its rate, those of a live source when they
    came; a dropped frame lengthens the one before it. The pixel spacing, when known, is in the comment.

    While it is written it lies beside its name as ``.NAME.PID.part``: a fragmented MP4, a fragment for each frame, that
    players read up to the last frame even when the process was killed. At the end it is copied into a plain MP4; where
    there is no room for the copy, the fragmented one takes the name.

    What is drawn in colour keeps it, as far as half the pixels and H.264 carry it.

    The first frame sets the size, made even by edge replication; later sizes are letterboxed. A frame shown raw
    bears "RAW" and one that came late "LATE" in the corner of its right half.

    Raises:
        DependencyError: PyAV is absent.
    """

    def __init__(self, path: Path) -> None:
        with needed("stream", "av"):
            import av  # noqa: F401
        super().__init__(path)
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None

    def _begin(self) -> None:
        self._stamps = Stamps(self.info)
        self._rate = max(Fraction(1 / self.info.period_s).limit_denominator(1001), Fraction(1, 1001))
        self._tick = 1 / (self._rate.numerator * Fraction(max(1, round(_TICKS_A_SECOND / self._rate.numerator))))
        self._pts = -1

    def _write(self, before: Image, after: Frame, late: bool) -> None:
        stamp = Stamp.of(after, late, self.info, self._panels.shape[1:] if self._stream else after.pixels.shape)
        if self._stream is None:
            self._start(after, stamp)
        self._draw(before, after, late)
        self._encode(self._pts_of(stamp))
        self._stamps.add(stamp)

    def _finish(self) -> Path:
        assert self._container is not None and self._stream is not None
        container, self._container = self._container, None
        try:
            container.mux(self._stream.encode(None))
        finally:
            container.close()
        plain = self.part.temporary.with_suffix(".plain")
        try:
            copy_plain(self.part.temporary, plain, self._stamps.period_s, spacing_comment(self._stamps.spacing_mm))
            os.replace(plain, self.part.temporary)
        except (OSError, ValueError) as error:  # FFmpeg's errors are of these kinds
            _log.warning("%s stays fragmented: %s", self.path.name, error)
        finally:
            plain.unlink(missing_ok=True)
        return self.part.temporary

    def _restore(self, cut: Path, to: Path) -> int:
        return copy_plain(cut, to)

    def _let_go(self) -> None:
        container, self._container = self._container, None
        if container is not None:
            with suppress(OSError, ValueError):
                container.close()

    def _start(self, first: Frame, stamp: Stamp) -> None:
        import av

        height, width = first.pixels.shape
        self._panels = np.empty((2, height, width), np.float32)
        even = height + height % 2, 2 * (width + width % 2)
        self._yuv = np.full((even[0] * 3 // 2, even[1]), 128, np.uint8)  # Y above U and V; 128 is no colour
        self._luma = self._yuv[: even[0]]
        self._chroma = self._yuv[even[0] :].reshape(2, even[0] // 2, even[1] // 2)
        self._first = stamp
        self._container = av.open(str(self.part.temporary), "w", format="mp4", options=_FRAGMENTED)
        self._container.metadata["comment"] = spacing_comment(stamp.spacing_mm)
        stream = self._container.add_stream("libx264", rate=self._rate, options=_ENCODER)
        stream.height, stream.width = even
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1  # more would take cores from the engine
        stream.codec_context.time_base = self._tick
        self._stream = stream

    def _pts_of(self, stamp: Stamp) -> int:
        """In ticks since the first frame; no two frames have the same."""
        pts = round((stamp.time_ns - self._first.time_ns) * 1e-9 / self._tick)
        self._pts = max(pts, self._pts + 1)
        return self._pts

    def _draw(self, before: Image, after: Frame, late: bool) -> None:
        (height, width), half = self._panels.shape[1:], self._luma.shape[1] // 2
        for index, image in enumerate((before, after.pixels)):
            panel = self._luma[:, index * half : (index + 1) * half]
            fit(image, self._panels[index])
            # Limited-range luma, as players expect of yuv420p: 16 is black, 235 white (ITU-R BT.601).
            panel[:height, :width] = cv2.convertScaleAbs(self._panels[index], alpha=219.0, beta=16.0)
            panel[:height, width:] = panel[:height, width - 1 : width]
            panel[height:] = panel[height - 1 : height]
            self._tint(index, image, (after.colour, after.drawn)[index])
        marks = " ".join(("RAW",) * (after.status is Status.RAW) + ("LATE",) * late)
        if marks:
            _mark(self._luma, half, marks)

    def _tint(self, index: int, image: Image, colour: Colour | None) -> None:
        """Draw what is coloured into one panel."""
        across = self._chroma.shape[2] // 2
        panel = self._chroma[:, :, index * across : (index + 1) * across]
        if colour is None or image.shape != self._panels.shape[1:]:
            panel.fill(128)
            return
        height, width = 2 * panel.shape[1], 2 * across
        rgb = to_rgb(image, colour)
        even = cv2.copyMakeBorder(rgb, 0, height - rgb.shape[0], 0, width - rgb.shape[1], cv2.BORDER_REPLICATE)
        yuv = cv2.cvtColor(even, cv2.COLOR_RGB2YUV_I420)
        np.copyto(self._luma[:, index * width : (index + 1) * width], yuv[:height])
        np.copyto(panel, yuv[height:].reshape(panel.shape))

    def _encode(self, pts: int) -> None:
        from av import VideoFrame

        assert self._container is not None and self._stream is not None
        frame = VideoFrame.from_ndarray(self._yuv, format="yuv420p")
        frame.pts, frame.time_base = pts, self._tick
        self._container.mux(self._stream.encode(frame))


def copy_plain(fragmented: Path, plain: Path, last_s: float | None = None, comment: str | None = None) -> int:
    """Copy a fragmented MP4 into a plain one with its index at the front.

    Args:
        last_s: how long the last frame lasts; as long as the first when None.
        comment: of the file; that of the fragmented one when None.

    Returns:
        The number of frames.

    Raises:
        OSError, ValueError: FFmpeg cannot read or write it. SourceError: it states more frames, or larger ones, than a
            recording has.
    """
    import av

    count = 0
    check_sample_tables(fragmented)
    with (
        fragmented.open("rb", buffering=0) as raw,
        BudgetedFile(raw, fragmented.name, PACKET_AT_MOST, "holds packets that are larger than any frame") as file,
        av.open(file, "r", format="mp4") as source,
        av.open(str(plain), "w", format="mp4", options={"movflags": "faststart"}) as to,
    ):
        if not source.streams.video:
            raise ValueError("it holds no video")
        stream = to.add_stream_from_template(source.streams.video[0])
        to.metadata["comment"] = source.metadata.get("comment", "") if comment is None else comment
        for packet in _lasting(source, file, last_s):
            packet.stream = stream
            to.mux(packet)
            count += 1
    flush(plain)
    return count


def _lasting(source: InputContainer, file: BudgetedFile, last_s: float | None) -> Iterator[Packet]:
    """The packets, each of which lasts until the next."""
    held: Packet | None = None
    try:
        for packet in source.demux(video=0):
            file.refill()
            if packet.dts is None:
                continue
            if held is not None:
                assert held.dts is not None
                held.duration = packet.dts - held.dts
                last_s = last_s or float(held.duration * held.time_base)
                yield held
            held = packet
    except (OSError, ValueError) as error:  # a fragment that was cut off
        _log.debug("%s ends early: %s", source.name, error)
    if held is not None:
        held.duration = round((last_s or 0.0) / held.time_base)
        yield held


def _mark(luma: np.ndarray, left: int, text: str) -> None:
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)
    cv2.rectangle(luma, (left, 0), (left + width + 5, height + 5), 235, cv2.FILLED)
    cv2.putText(luma, text, (left + 3, height + 2), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 16, 1, cv2.LINE_AA)


SINK = SinkKind(
    name="MP4",
    title="an MP4 video",
    endings=(".mp4",),
    open=lambda place, query: Mp4Sink(Path(place)),
)

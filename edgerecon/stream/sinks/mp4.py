"""A side-by-side video, before | after, that browsers play."""

from __future__ import annotations

import logging
import os
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edgerecon.errors import DependencyError
from edgerecon.frame import Frame, Image, Status
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.panel import fit
from edgerecon.stream.sinks.part import Part, written

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

_log = logging.getLogger(__name__)


_FRAGMENTED = {"movflags": "frag_every_frame+empty_moov+default_base_moof", "flush_packets": "1"}
_ENCODER = {"preset": "veryfast", "crf": "18", "tune": "zerolatency"}  # no frame waits in the encoder


class Mp4Sink:
    """H.264 (yuv420p, index at the front) at the source's frame rate; a dropped frame lengthens the one before it.

    While it is written it lies beside its name as ``.NAME.PID.part``: a fragmented MP4, a fragment for each frame, that
    players read up to the last frame even when the process was killed. At the end it is copied into a plain MP4; where
    there is no room for the copy, the fragmented one takes the name.

    The first frame sets the size, made even by edge replication; later sizes are letterboxed. A frame shown raw
    bears "RAW" and one that came late "LATE" in the corner of its right half. No file is left when no frame came.

    Raises:
        DependencyError: PyAV is absent.
    """

    def __init__(self, path: Path) -> None:
        try:
            import av  # noqa: F401
        except ImportError as error:
            raise DependencyError("av", "stream") from error
        self.name = str(path)
        self._path = path
        self._part: Part | None = None
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None

    def open(self, info: StreamInfo) -> None:
        self._rate = max(Fraction(1 / info.period_s).limit_denominator(1001), Fraction(1, 1001))
        self._part = Part(self._path)

    def present(self, before: Image, after: Frame, late: bool) -> None:
        with written(self._path):
            if self._stream is None:
                self._start(after)
            self._draw(before, after, late)
            self._encode(after.sequence - self._first)

    def close(self) -> None:
        part, self._part = self._part, None
        if part is None:
            return
        if self._container is None or self._stream is None:
            part.discard()
            return
        with written(self._path):  # what was written stays beside the name when this fails
            try:
                self._container.mux(self._stream.encode(None))
            finally:
                self._container.close()
        _index_first(part.temporary)
        part.finish()

    def _start(self, first: Frame) -> None:
        import av

        assert self._part is not None
        height, width = first.pixels.shape
        self._panels = np.empty((2, height, width), np.float32)
        even = height + height % 2, 2 * (width + width % 2)
        self._yuv = np.full((even[0] * 3 // 2, even[1]), 128, np.uint8)  # Y above U and V; 128 is no colour
        self._luma = self._yuv[: even[0]]
        self._first = first.sequence
        self._container = av.open(str(self._part.temporary), "w", format="mp4", options=_FRAGMENTED)
        stream = self._container.add_stream("libx264", rate=self._rate, options=_ENCODER)
        stream.height, stream.width = even
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1  # more would take cores from the engine
        stream.codec_context.time_base = 1 / self._rate
        self._stream = stream

    def _draw(self, before: Image, after: Frame, late: bool) -> None:
        (height, width), half = self._panels.shape[1:], self._luma.shape[1] // 2
        for index, image in enumerate((before, after.pixels)):
            panel = self._luma[:, index * half : (index + 1) * half]
            fit(image, self._panels[index])
            # Limited-range luma, as players expect of yuv420p: 16 is black, 235 white (ITU-R BT.601).
            panel[:height, :width] = cv2.convertScaleAbs(self._panels[index], alpha=219.0, beta=16.0)
            panel[:height, width:] = panel[:height, width - 1 : width]
            panel[height:] = panel[height - 1 : height]
        marks = " ".join(("RAW",) * (after.status is Status.RAW) + ("LATE",) * late)
        if marks:
            _mark(self._luma, half, marks)

    def _encode(self, pts: int) -> None:
        from av import VideoFrame

        assert self._container is not None and self._stream is not None
        frame = VideoFrame.from_ndarray(self._yuv, format="yuv420p")
        frame.pts, frame.time_base = pts, 1 / self._rate
        self._container.mux(self._stream.encode(frame))


def _index_first(path: Path) -> None:
    """Copy a fragmented MP4 into a plain one with its index at the front, and let that take its name."""
    import av

    plain = path.with_suffix(".plain")
    try:
        with (
            av.open(str(path)) as source,
            av.open(str(plain), "w", format="mp4", options={"movflags": "faststart"}) as to,
        ):
            stream = to.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    to.mux(packet)
        os.replace(plain, path)
    except (OSError, ValueError) as error:  # FFmpeg's errors are of these kinds
        _log.warning("%s stays fragmented: %s", path.name, error)
    finally:
        plain.unlink(missing_ok=True)


def _mark(luma: np.ndarray, left: int, text: str) -> None:
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)
    cv2.rectangle(luma, (left, 0), (left + width + 5, height + 5), 235, cv2.FILLED)
    cv2.putText(luma, text, (left + 3, height + 2), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 16, 1, cv2.LINE_AA)

"""Video over the network: RTSP cameras and encoders, and MPEG-TS over UDP, through FFmpeg (PyAV)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from time import perf_counter_ns
from typing import TYPE_CHECKING

from edgerecon.core.errors import SourceError, UsageError, needed
from edgerecon.core.frame import MAX_PIXELS
from edgerecon.stream.process.backoff import Backoff
from edgerecon.stream.sources.base import Capture, Source
from edgerecon.stream.sources.files import lossy
from edgerecon.stream.sources.files.video import prepare, to_capture
from edgerecon.stream.sources.frame_rate import period_of_rate
from edgerecon.stream.sources.kind import SourceKind
from edgerecon.stream.sources.live.gaps import Gaps
from edgerecon.stream.sources.live.pump import pump
from edgerecon.stream.sources.query import Query
from edgerecon.stream.uri import split_uri

if TYPE_CHECKING:
    from av.container import InputContainer

_log = logging.getLogger(__name__)

_OPEN_S, _READ_S = 5.0, 2.0
_OPTIONS = {
    "rtsp": {
        "format_whitelist": "rtsp,rtp,sdp,h264,hevc,mjpeg,mpegts",
        "protocol_whitelist": "rtp,udp,tcp,rtsp",
        "rtsp_transport": "tcp",  # through every firewall, and nothing is lost on the way
    },
    "udp": {"format_whitelist": "mpegts", "protocol_whitelist": "udp", "overrun_nonfatal": "1"},
}
_SOON = {"fflags": "nobuffer", "flags": "low_delay", "probesize": "500000", "analyzeduration": "1000000"}


class NetworkVideoSource:
    """The first video stream at an rtsp:// or udp:// address, as luma. A lost connection is made again.

    A damaged packet is a fault. Frames that are missing are found by the stream's timestamps.

    Raises:
        SourceError: nothing there, no video, or larger than MAX_PIXELS. UsageError: not an address.
        DependencyError: PyAV is absent.
    """

    live: bool = True
    spacing_mm: tuple[float, float] | None = None

    def __init__(self, url: str) -> None:
        parts = split_uri(url)
        self._url, self._scheme = url, parts.scheme
        self.name = f"{parts.scheme}://{parts.hostname or ''}:{parts.port or 554}{parts.path}"  # no password
        self.length: int | None = None
        self._closed = threading.Event()
        self._gaps = Gaps()
        with needed("stream", "av"):
            import av
        try:
            container = self._open()
        except (av.error.FFmpegError, OSError) as error:
            late = isinstance(error, av.error.ExitError)
            why = f"nothing within {_OPEN_S:g} s" if late else error.strerror
            what = "an RTSP server" if self._scheme == "rtsp" else "a sender of MPEG-TS"
            raise SourceError(f"no video comes from {self.name} ({why}): start {what} there first") from error
        self._container: InputContainer | None = container
        if not container.streams.video or container.streams.video[0].codec_context is None:
            container.close()
            raise SourceError(f"{self.name} sends no video that can be decoded")
        stream = container.streams.video[0]
        self.lossy = lossy.of_video(stream)
        rate = stream.average_rate or stream.guessed_rate
        self.period_s = period_of_rate(self.name, float(rate)) if rate else None
        if stream.codec_context.width * stream.codec_context.height > MAX_PIXELS:
            container.close()
            raise SourceError(f"{self.name} sends more than {MAX_PIXELS:,} pixels a frame")

    def frames(self) -> Iterator[Capture]:
        return pump(self._read(), self._closed)

    def close(self) -> None:
        self._closed.set()

    def _read(self) -> Iterator[Capture]:
        from av.error import FFmpegError

        backoff = Backoff(self._closed)
        while not self._closed.is_set():
            container, self._container = self._container, None
            if container is None:
                if not backoff.wait():
                    return
                try:
                    container = self._open()
                except (FFmpegError, OSError):
                    continue
                _log.info("%s: connected again", self.name)
            with container:
                for capture in self._decode(container):
                    backoff.reset()
                    yield capture
            self._gaps.broke()
            _log.warning("%s: no more video; connecting again", self.name)

    def _decode(self, container: InputContainer) -> Iterator[Capture]:
        """Until the connection is lost."""
        from av.error import FFmpegError, InvalidDataError

        if not container.streams.video or container.streams.video[0].codec_context is None:
            return
        stream = container.streams.video[0]
        prepare(stream)
        packets = container.demux(stream)
        while not self._closed.is_set():
            try:
                packet = next(packets, None)
            except (FFmpegError, OSError):
                return
            if packet is None:
                return
            try:
                decoded = packet.decode()
            except InvalidDataError as error:
                self._gaps.damaged()
                yield Capture(None, f"damaged video packet: {error.strerror}")
                continue
            except FFmpegError:
                return
            for frame in decoded:
                capture = to_capture(frame)
                capture.gap, capture.captured_ns = self._gaps.before(None, frame.time or 0.0), perf_counter_ns()
                yield capture

    def _open(self) -> InputContainer:
        import av

        options = _OPTIONS[self._scheme] | _SOON
        return av.open(self._url, options=options, timeout=(_OPEN_S, _READ_S), metadata_errors="ignore")


def _open(place: str, query: Query) -> Source:
    parts = split_uri(place)
    if parts.scheme == "udp" and not parts.port:
        raise UsageError(f"'{place}' names no port: give udp://0.0.0.0:PORT to listen on, or udp://@GROUP:PORT")
    return NetworkVideoSource(place)


SOURCE = SourceKind(
    name="network video",
    title="network video",
    schemes=("rtsp", "udp"),
    addresses=("rtsp://[USER:PASSWORD@]HOST[:PORT]/PATH", "udp://[@]HOST:PORT"),
    options=None,  # those of an RTSP address are its server's
    open=_open,
)

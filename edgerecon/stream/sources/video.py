"""Video files of any container, and raw H.264 elementary streams, through FFmpeg (PyAV)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from edgerecon.errors import DependencyError, SourceError
from edgerecon.frame import MAX_PIXELS
from edgerecon.stream.sources.base import KINDS, Capture

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

CONTAINERS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,h264,hevc,m4v,mjpeg,asf,flv,ogg,ivf,obu,gif,wtv,dv"
"""FFmpeg's demuxers that are tried: no playlists (they would open other files), no text."""

_RAW = ("h264", "hevc", "mpegvideo", "m4v", "mjpeg", "obu")


class VideoSource:
    """The first video stream of a file, as luma. A damaged packet is a fault, and decoding goes on behind it.

    Raises:
        SourceError: not a video that FFmpeg can read, or larger than MAX_PIXELS.
        DependencyError: PyAV is absent.
    """

    live: bool = False
    spacing_mm: tuple[float, float] | None = None

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = path.name
        container = self._open()
        with container:
            stream = container.streams.video[0]
            raw = container.format.name in _RAW
            rate = stream.codec_context.framerate if raw else stream.average_rate
            self.length: int | None = stream.frames or None
            self.period_s = float(1 / rate) if rate and 0.1 <= rate <= 10_000 else None
            width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > MAX_PIXELS:
            raise SourceError(f"{self.name} declares {width}×{height} pixels: at most {MAX_PIXELS:,} are read")

    def frames(self) -> Iterator[Capture]:
        from av.error import FFmpegError

        seen = 0
        with self._open() as container:
            stream = container.streams.video[0]
            prepare(stream)
            packets = container.demux(stream)
            while True:
                try:
                    packet = next(packets, None)
                    if packet is None:
                        break
                    decoded = packet.decode()
                except FFmpegError as error:
                    seen += 1
                    yield Capture(None, f"damaged video packet: {error.strerror}")
                    continue
                for frame in decoded:
                    seen += 1
                    yield to_capture(frame)
        for _ in range(seen, self.length or 0):
            yield Capture(None, "the file ends before this frame (truncated)")

    def _open(self) -> InputContainer:
        try:
            import av
        except ImportError as error:
            raise DependencyError("av", "stream") from error
        options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
        try:
            container = av.open(str(self._path), options=options, metadata_errors="ignore")
        except (av.error.FFmpegError, OSError) as error:
            raise SourceError(
                f"{self.name} is not a recording that can be read ({error.strerror}): give {KINDS}"
            ) from error
        if not container.streams.video:
            container.close()
            raise SourceError(f"{self.name} holds no video stream")
        return container

    def close(self) -> None: ...


def prepare(stream: VideoStream) -> None:
    context = stream.codec_context
    context.thread_count = 1  # threads would delay frames and take cores from the engine
    context.options = {"max_pixels": str(MAX_PIXELS), "err_detect": "explode"}


def to_capture(frame: VideoFrame) -> Capture:
    if frame.is_corrupt:
        return Capture(None, "damaged video frame")
    deep = frame.format.components[0].bits > 8
    return Capture(frame.to_ndarray(format="gray16le" if deep else "gray"))

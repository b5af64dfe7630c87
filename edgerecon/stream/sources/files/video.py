"""Video files of any container, and raw H.264 elementary streams, through FFmpeg (PyAV)."""

from __future__ import annotations

import logging
import os
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edgerecon.core.errors import SourceError, needed
from edgerecon.core.frame import MAX_PIXELS, RawImage
from edgerecon.stream.protocols.spacing_comment import spacing_of_comment
from edgerecon.stream.sources.base import Capture
from edgerecon.stream.sources.files import lossy
from edgerecon.stream.sources.files.avi_rate import states_no_rate
from edgerecon.stream.sources.files.budgeted_file import BudgetedFile
from edgerecon.stream.sources.files.display_matrix import UPRIGHT, turn_of, upright
from edgerecon.stream.sources.files.mp4_index import PACKET_AT_MOST, check_sample_tables
from edgerecon.stream.sources.frame_rate import LONGEST_S, SHORTEST_S, period_of_rate, taken_period_s
from edgerecon.stream.sources.kind import SourceKind, known_recordings

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

_log = logging.getLogger(__name__)

CONTAINERS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,h264,hevc,m4v,mjpeg,asf,flv,ogg,ivf,obu,gif,wtv,dv"
"""FFmpeg's demuxers that are tried: no playlists (they would open other files), no text."""

MOTION_JPEG = (".mjpeg", ".mjpg")
"""Endings of files that are one JPEG behind the other."""

_RAW = ("h264", "hevc", "mpegvideo", "m4v", "mjpeg", "obu")
_OPEN_S = 5.0
_LIMITS = {"max_pixels": str(MAX_PIXELS), "threads": "1"}  # also of the frames that are decoded to probe a file
_PROBED_PACKETS, _PROBED_BYTES = 240, 16 << 20
_STAMPED = ("mov", "matroska", "webm", "flv")  # formats that state when each packet is shown
_NO_FRAME = "damaged video packet: no frame came of it"
_NO_COLOUR, _CHROMA_NOISE = 128, 12
"""The chroma of grey, and by how much compression moves it."""
_COLOUR_NOISE = 24
"""By how much it moves red, green and blue apart."""
_LIMITED = 1
"""FFmpeg's number of the range from 16 to 235."""
_CUT_OFF = "the file ends before this frame (truncated)"


class VideoSource:
    """The first video stream of a file, as luma (RGB where it has colour), upright. A damaged packet is a fault, and
    decoding goes on behind it.

    Frames carry the time stamps of the file; ``period_s`` is the median of their steps. A rate that no recording has is
    ignored, with its time stamps, and the log says so. ``length`` counts the frames that are shown, where the container
    has an index of them. ``spacing_mm`` is what a recording of ours says.

    Raises:
        SourceError: not a video that FFmpeg can read, larger than MAX_PIXELS, or one whose edit list shows no frame.
        DependencyError: PyAV is absent.
    """

    live: bool = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = path.name
        check_sample_tables(path)
        with self._open() as (container, file):
            stream = container.streams.video[0]
            width, height = stream.codec_context.width, stream.codec_context.height
            if width * height > MAX_PIXELS:
                raise SourceError(f"{self.name} declares {width}×{height} pixels: at most {MAX_PIXELS:,} are read")
            _refuse_hidden(stream, self.name)
            self.length: int | None = _shown(stream, file) or None
            aspect = stream.sample_aspect_ratio
            if aspect and aspect != 1:
                _log.warning("%s has pixels of %s: they are shown square, as they are stored", self.name, aspect)
            self.period_s, self._timed = _period_s(container, stream, file, self.name)
            self.spacing_mm: tuple[float, float] | None = spacing_of_comment(container.metadata.get("comment", ""))
            self.lossy = lossy.of_video(stream)

    def frames(self) -> Iterator[Capture]:
        with self._open() as (container, file):
            yield from _Decoding(container, file, self._timed).captures()

    @contextmanager
    def _open(self) -> Iterator[tuple[InputContainer, BudgetedFile]]:
        """The container, and the file under it, whose budget is that of its header or of a packet."""
        too_large = f"holds a header or packet of more than {PACKET_AT_MOST >> 20} MB: no frame is as large"
        with self._path.open("rb", buffering=0) as raw, BudgetedFile(raw, self.name, PACKET_AT_MOST, too_large) as file:
            with self._container(file) as container:
                file.refill()
                yield container, file

    def _container(self, file: BudgetedFile) -> InputContainer:
        with needed("stream", "av"):
            import av
        options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file", **_LIMITS}
        kind = "mjpeg" if self._path.suffix.lower() in MOTION_JPEG else None  # it begins like a single image
        try:
            container = av.open(
                file, mode="r", format=kind, options=options, metadata_errors="ignore", timeout=(_OPEN_S, None)
            )
        except (av.error.FFmpegError, OSError) as error:
            raise SourceError(
                f"{self.name} is not a recording that can be read ({error.strerror}): give {known_recordings()}"
            ) from error
        if not container.streams.video:
            container.close()
            raise SourceError(f"{self.name} holds no video stream")
        if container.streams.video[0].codec_context is None:
            container.close()
            raise SourceError(f"{self.name} holds video of a kind that FFmpeg does not decode: convert it to H.264")
        return container

    def close(self) -> None: ...


class _Decoding:
    """Frames and faults of a container, from its packets."""

    def __init__(self, container: InputContainer, file: BudgetedFile, timed: bool) -> None:
        self._container, self._file, self._is_timed = container, file, timed
        self._stream = container.streams.video[0]
        self._stamped = any(name in _STAMPED for name in container.format.name.split(","))
        self._packets = 0
        self._awaited: dict[int, str | None] = {}  # time stamps whose frame has not come yet, and what went wrong
        self._begun = False

    def captures(self) -> Iterator[Capture]:
        from av.error import FFmpegError

        prepare(self._stream)
        packets = _packets(self._container, self._file)
        while True:
            packet = None
            try:
                packet = next(packets, None)
                if packet is None:
                    break
                self._await(packet)
                decoded = packet.decode()
            except FFmpegError as error:
                yield from self._damaged(packet, f"damaged video packet: {error.strerror}")
                continue
            except SourceError as error:  # the budget of a packet is spent: who knows where the next one begins
                yield Capture(None, str(error))
                break
            for frame in decoded:
                yield from self._lost_before(frame.pts)
                yield self._timed(to_capture(frame), frame.pts)
        yield from self._lost_before(None)
        for _ in range(self._packets, self._cut_off()):
            yield Capture(None, _CUT_OFF)

    def _await(self, packet: Packet) -> None:
        if packet.size:
            self._packets += 1
        if self._stamped and packet.pts is not None and packet.size and not packet.is_discard:
            self._awaited[packet.pts] = None

    def _damaged(self, packet: Packet | None, why: str) -> Iterator[Capture]:
        """A fault, unless the time stamp will tell whether the frame comes all the same."""
        if packet is None or not self._stamped or packet.pts is None:
            yield Capture(None, why)
        elif packet.pts in self._awaited:
            self._awaited[packet.pts] = why

    def _lost_before(self, pts: int | None) -> Iterator[Capture]:
        """Faults for packets of which no frame came. Those before the first frame may only lack their key frame."""
        for stamp in [stamp for stamp in sorted(self._awaited) if pts is None or stamp < pts]:
            why = self._awaited.pop(stamp) or (_NO_FRAME if self._begun else None)
            if why is not None:
                yield self._timed(Capture(None, why), stamp)
        if pts is not None:
            self._awaited.pop(pts, None)
            self._begun = True

    def _timed(self, capture: Capture, pts: int | None) -> Capture:
        if self._is_timed and pts is not None and self._stream.time_base is not None:
            capture.time_s = float(pts * self._stream.time_base)
        return capture

    def _cut_off(self) -> int:
        """Number of packets that were written, where the file was cut off; 0 where it ends as it should.

        What a container only counts (dropped frames of an AVI, what an edit list leaves out) is not missing.
        """
        return int(self._stream.frames) if _is_cut(self._stream, self._file) else 0


def _refuse_hidden(stream: VideoStream, name: str) -> None:
    """Raises SourceError: an edit list leaves no frame, which decoding would not tell from damage."""
    frames = [entry for entry in stream.index_entries if entry.size]
    if frames and all(entry.is_discard for entry in frames):
        raise SourceError(
            f"{name} has an edit list that shows none of its {len(frames)} frames: leave the list out with  "
            f"ffmpeg -ignore_editlist 1 -i {name} -c copy whole.mp4"
        )


def _shown(stream: VideoStream, file: BudgetedFile) -> int:
    """Number of frames that an edit list leaves, or that the container counts where it has no index; 0: unknown."""
    shown = sum(1 for entry in stream.index_entries if entry.size and not entry.is_discard)
    return shown if shown and stream.frames and not _is_cut(stream, file) else stream.frames


def _period_s(
    container: InputContainer, stream: VideoStream, file: BudgetedFile, name: str
) -> tuple[float | None, bool]:
    """Median step between the first frames, the exact rate of the container where it is the same; and whether the time
    stamps can be true.

    Consumes packets of the container.
    """
    raw = container.format.name in _RAW
    stated = stream.codec_context.framerate if raw else stream.average_rate
    rate = 0.0 if container.format.name == "avi" and states_no_rate(file) else float(stated) if stated else None
    steps = [] if raw or stream.time_base is None else _steps_s(container, stream, file)
    if not steps or rate == 0:
        nominal = rate and 1 / rate if stream.frames == 1 else period_of_rate(name, rate)
        return nominal, nominal is not None and not raw
    median = statistics.median(steps)
    nominal = 1 / rate if rate and 1 / LONGEST_S <= rate <= 1 / SHORTEST_S else None
    if taken_period_s(name, median) is None:
        return nominal, False
    return (nominal if nominal and abs(nominal - median) <= float(stream.time_base or 0) else median), True


def _steps_s(container: InputContainer, stream: VideoStream, file: BudgetedFile) -> list[float]:
    from av.error import FFmpegError

    stamps, left = set(), _PROBED_BYTES
    try:
        for number, packet in enumerate(_packets(container, file)):
            left -= packet.size
            if packet.pts is not None and not packet.is_discard:
                stamps.add(packet.pts)
            if number >= _PROBED_PACKETS or left < 0:
                break
    except (FFmpegError, SourceError):  # damaged further on: what came tells the rate
        pass
    ordered = sorted(stamps)
    base = float(stream.time_base or 0)
    return [(after - before) * base for before, after in zip(ordered, ordered[1:], strict=False)]


def _packets(container: InputContainer, file: BudgetedFile) -> Iterator[Packet]:
    """Of the first video stream. Those of other streams are passed over, so that each has a budget of its own."""
    for packet in container.demux():
        file.refill()
        if packet.stream is container.streams.video[0]:
            yield packet


def _is_cut(stream: VideoStream, file: BudgetedFile) -> bool:
    """Whether the file ends before its index, or the head of a RIFF file, says."""
    file.refill()
    at = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(8)
    file.seek(at)
    declared = 8 + int.from_bytes(head[4:], "little") if head[:4] == b"RIFF" else 0
    return max([declared, *(entry.pos + entry.size for entry in stream.index_entries)]) > size


def prepare(stream: VideoStream) -> None:
    """Let a decoder use one thread, bound the frame size, and fail on damaged data."""
    context = stream.codec_context
    context.thread_count = 1  # threads would delay frames and take cores from the engine
    context.options = {"max_pixels": str(MAX_PIXELS), "err_detect": "explode"}


def to_capture(frame: VideoFrame) -> Capture:
    """Luma of a decoded frame, from black at 0 to white at full scale, upright; its colours where it has any."""
    if frame.is_corrupt:
        return Capture(None, "damaged video frame")
    deep = frame.format.components[0].bits > 8
    image = _colours(frame, deep)
    if image is None:
        image = frame.to_ndarray(format="gray16le" if deep else "gray")
        if len(frame.format.components) == 1 and frame.color_range == _LIMITED:
            image = _full_range(image)  # FFmpeg takes all frames without colours to be of full range
    turn = turn_of(frame)
    return Capture(image if turn in (UPRIGHT, None) else upright(image, turn))


def _full_range(image: RawImage) -> RawImage:
    """Luma with black at 16 and white at 235 of 8 bits (ITU-R BT.601), or as far up in 16 bits → full scale."""
    unit, full = (1, 255) if image.dtype == np.uint8 else (256, 65535)
    scaled = (image.astype(np.float32) - 16 * unit) * (full / (219 * unit))
    return np.rint(np.clip(scaled, 0, full)).astype(image.dtype)


def _colours(frame: VideoFrame, deep: bool) -> RawImage | None:
    """A frame as RGB, where its colours are more than the noise of compression; None for a grey one."""
    form = frame.format
    if len(form.components) < 3 and not form.has_palette:
        return None
    if form.name.removeprefix("yuvj").removeprefix("yuv") in ("420p", "422p", "444p"):  # planes, as codecs have it
        return frame.to_ndarray(format="rgb24") if _has_chroma(frame) else None
    rgb = frame.to_ndarray(format="rgb48le" if deep else "rgb24")
    red, green, blue = cv2.split(rgb)
    apart = max(cv2.norm(red, green, cv2.NORM_INF), cv2.norm(green, blue, cv2.NORM_INF))
    return rgb if apart > _COLOUR_NOISE * (257 if deep else 1) else None


def _has_chroma(frame: VideoFrame) -> bool:
    for plane in frame.planes[1:]:
        chroma = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        if max(int(chroma.max()) - _NO_COLOUR, _NO_COLOUR - int(chroma.min())) > _CHROMA_NOISE:
            return True
    return False


SOURCE = SourceKind(
    name="video",
    title="a video",
    magic=(b"\xff\xd8\xff",),  # of Motion JPEG: the ending tells it from an image
    endings=MOTION_JPEG,
    fallback=True,
    open=lambda place, query: VideoSource(Path(place)),
)

"""Clarius scanners, by the Cast library of their maker, which is not ours to ship: its user names the file.

Called as its public header says (clariusdev/cast on GitHub, include/cast, version 12). Not tried with a scanner yet.
"""

from __future__ import annotations

import ctypes
import logging
import tempfile
import threading
from collections.abc import Iterator
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_double, c_int, c_longlong, c_void_p
from os.path import expanduser
from typing import Any

import numpy as np

from edgerecon.core.errors import SourceError, UsageError
from edgerecon.core.frame import MAX_PIXELS
from edgerecon.stream.process.backoff import Backoff
from edgerecon.stream.sources.base import Capture, Source
from edgerecon.stream.sources.kind import SourceKind
from edgerecon.stream.sources.live.gaps import Gaps
from edgerecon.stream.sources.live.inbox import Inbox
from edgerecon.stream.sources.live.size_fps import size_fps
from edgerecon.stream.sources.query import Query
from edgerecon.stream.uri import split_uri

_log = logging.getLogger(__name__)

_SIZE = (480, 640)
_CERTIFICATE = b"research"
"""What the header says to pass for a connection without a certificate."""
_ANSWER_S = 5.0
_LOOK_AFTER_S = 0.2
_OF_VERSION_12 = "cusCastAddImageOverlay"
"""Libraries before it take other arguments, and would be called wrongly."""
_FAILURE = -1
_CHANNELS = {8: 1, 32: 4}
"""By the bits of a pixel: grey, or colour with transparency."""
_UNCOMPRESSED = (0, 1)
"""Of CusImageFormat: pixels in 32 or in 8 bits; the others are JPEG and PNG."""


class _Tgc(ctypes.Structure):
    _fields_ = [("depth", c_double), ("gain", c_double)]


class ImageInfo(ctypes.Structure):
    """CusProcessedImageInfo: what the library says of an image."""

    _fields_ = [
        ("width", c_int),
        ("height", c_int),
        ("bits_per_pixel", c_int),
        ("image_size", c_int),
        ("microns_per_pixel", c_double),
        ("origin_x", c_double),
        ("origin_y", c_double),
        ("time_ns", c_longlong),
        ("angle", c_double),
        ("fps", c_double),
        ("overlay", c_int),
        ("format", c_int),
        ("tgc", _Tgc * 10),
    ]


_ImageFn = CFUNCTYPE(None, c_void_p, POINTER(ImageInfo), c_int, c_void_p)
_ConnectFn = CFUNCTYPE(None, c_int, c_int)
_ErrorFn = CFUNCTYPE(None, c_char_p)
_UNUSED = [c_void_p] * 6
"""Raw images, spectra, inertial data, freeze, buttons, progress: nobody is told."""


class ClariusSource:
    """Scan-converted images of one scanner, in the grey levels and colours of its maker. One in a process.

    A connection that breaks is made again. The scanner's inertial sensor says no place: frames have no pose.

    Args:
        library: path of libcast. host, port: as the Clarius app shows them for Cast. size: (height, width) of images.

    Raises:
        SourceError: the library does not load, is of another version, or reaches no scanner.
    """

    live: bool = True
    _taken = threading.Lock()

    def __init__(self, library: str, host: str, port: int, size: tuple[int, int] = _SIZE) -> None:
        self.name = f"clarius://{host}:{port}"
        self.period_s: float | None = None
        self.spacing_mm: tuple[float, float] | None = None
        self.length: int | None = None
        self._host, self._port = host, port
        self._closed, self._inbox, self._gaps = threading.Event(), Inbox(), Gaps()
        self._said: str | None = None
        self._library = _load(library)
        if not self._taken.acquire(blocking=False):
            raise SourceError(f"{self.name}: this process streams from a Clarius scanner already: use another one")
        self._callbacks = _ImageFn(self._arrived), _ErrorFn(self._complains)  # kept: the library calls them
        self._keys = tempfile.TemporaryDirectory(prefix="edgerecon-clarius-")
        try:
            keys, none = self._keys.name.encode(), [None] * len(_UNUSED)
            self._call("Init", 0, None, keys, self._callbacks[0], *none, self._callbacks[1], size[1], size[0])
            self._call("SetOutputSize", size[1], size[0])
            self._connect()
        except BaseException:
            self.close()
            raise

    def frames(self) -> Iterator[Capture]:
        backoff = Backoff(self._closed)
        while not self._closed.is_set():
            capture = self._inbox.take(_LOOK_AFTER_S)
            if capture is not None:
                backoff.reset()
                yield capture
            elif self._library.cusCastIsConnected() != 1 and backoff.wait():
                self._reconnect()

    def close(self) -> None:
        if self._closed.is_set():
            return
        self._closed.set()
        self._library.cusCastDisconnect(None)
        self._library.cusCastDestroy()
        self._keys.cleanup()
        self._taken.release()

    def _reconnect(self) -> None:
        self._gaps.broke()
        try:
            self._connect()
        except SourceError as error:
            _log.info("%s: still away: %s", self.name, error)
        else:
            _log.info("%s is back", self.name)

    def _connect(self) -> None:
        answered, answer = threading.Event(), []

        def told(port: int, same_version: int) -> None:
            answer.append(port)
            answered.set()

        self._connected = _ConnectFn(told)  # kept, as above
        self._call("Connect", self._host.encode(), self._port, _CERTIFICATE, self._connected)
        if not answered.wait(_ANSWER_S) or answer[0] == _FAILURE:
            raise SourceError(self._reason("does not answer: start Cast in the Clarius app, and take its address"))

    def _call(self, name: str, *arguments: Any) -> None:
        if getattr(self._library, f"cusCast{name}")(*arguments) < 0:
            raise SourceError(self._reason(f"cusCast{name} failed"))

    def _reason(self, otherwise: str) -> str:
        return f"{self.name}: {self._said or otherwise}"

    def _complains(self, message: bytes | None) -> None:
        self._said = (message or b"").decode("utf-8", "replace").strip()
        _log.warning("%s: %s", self.name, self._said)

    def _arrived(self, image: int | None, info: Any, positions: int, position: Any) -> None:
        """Called by a thread of the library; the pixels are its own again afterwards."""
        if info:  # what is raised here reaches nobody
            self._inbox.put(_capture(image, info.contents, self._gaps))


def _capture(image: int | None, info: ImageInfo, gaps: Gaps) -> Capture:
    height, width, channels = info.height, info.width, _CHANNELS.get(info.bits_per_pixel, 0)
    if info.format not in _UNCOMPRESSED:
        gaps.damaged()
        return Capture(None, f"a compressed image (format {info.format}): it is not one that was asked for")
    fits = height > 0 and width > 0 and height * width <= MAX_PIXELS
    if not image or not fits or not channels or info.image_size < height * width * channels:
        gaps.damaged()
        return Capture(None, f"an image of {width}×{height}, {info.bits_per_pixel} bits in {info.image_size} bytes")
    shape = (height, width) if channels == 1 else (height, width, 4)
    pixels = np.frombuffer(ctypes.string_at(image, height * width * channels), np.uint8).reshape(shape)
    if channels == 4:  # 32 bits ARGB, the blue byte first in memory
        pixels = pixels[:, :, 2::-1]
    step_mm = info.microns_per_pixel / 1e3
    return Capture(
        np.ascontiguousarray(pixels), gap=gaps.before(None, info.time_ns / 1e9), spacing_mm=(step_mm, step_mm)
    )


def _load(path: str) -> Any:
    """The library, its functions declared.

    Raises:
        SourceError: it does not load, or is of another version.
    """
    try:
        library = ctypes.CDLL(expanduser(path))
    except OSError as error:
        raise SourceError(f"cannot load {path}: {error}") from None
    if not hasattr(library, _OF_VERSION_12):
        raise SourceError(f"{path} is no Cast library of version 12: it has no {_OF_VERSION_12}")
    functions: dict[str, list[Any]] = {
        "Init": [c_int, c_void_p, c_char_p, _ImageFn, *_UNUSED, _ErrorFn, c_int, c_int],
        "SetOutputSize": [c_int, c_int],
        "Connect": [c_char_p, ctypes.c_uint, c_char_p, _ConnectFn],
        "IsConnected": [],
        "Disconnect": [c_void_p],
        "Destroy": [],
    }
    for name, arguments in functions.items():
        function = getattr(library, f"cusCast{name}")
        function.argtypes, function.restype = arguments, c_int
    return library


def _open(place: str, query: Query) -> Source:
    parts, (size, _) = split_uri(place), size_fps({key: query[key] for key in query if key == "size"})
    if not parts.hostname or parts.port is None or "library" not in query:
        raise UsageError(f"'{place}' lacks something: give clarius://HOST:PORT?library=PATH/libcast.so")
    return ClariusSource(query["library"], parts.hostname, parts.port, size or _SIZE)


SOURCE = SourceKind(
    name="Clarius Cast",
    title="a Clarius scanner",
    schemes=("clarius",),
    addresses=("clarius://HOST:PORT?library=libcast.so[&size=640x480]",),
    options=("library", "size"),
    open=_open,
)

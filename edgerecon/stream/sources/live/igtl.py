"""OpenIGTLink client: images as PLUS, 3D Slicer and scanners send them."""

from __future__ import annotations

import logging
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from time import perf_counter_ns
from urllib.parse import quote, unquote

from edgerecon.core.errors import SourceError, UsageError, printable
from edgerecon.core.pose import Pose, Transform, plausible_time
from edgerecon.stream.process.backoff import Backoff
from edgerecon.stream.protocols.igtl_tracking import TRACKING, unpack_tracking
from edgerecon.stream.protocols.openigtlink import (
    HEADER_BYTES,
    PORT,
    Header,
    StrayBytes,
    parse_header,
    require,
    unpack_image,
)
from edgerecon.stream.sources.base import Capture, Source
from edgerecon.stream.sources.kind import SourceKind
from edgerecon.stream.sources.live.gaps import Gaps
from edgerecon.stream.sources.live.live_scale import LiveScale
from edgerecon.stream.sources.query import Query
from edgerecon.stream.uri import split_uri

_log = logging.getLogger(__name__)

_WAKE_S = 0.2
_CONNECT_S = 3.0
_CHUNK = 1 << 16
_PATIENCE_S = 3.0
"""How long an expected device may be silent before it is said who sends instead."""

_MENTIONED_AT_MOST = _NAMES_AT_MOST = 16
_TRANSFORMS_AT_MOST = 256
_TRACKING_BYTES_AT_MOST = 1 << 16


class IgtlSource:
    """IMAGE messages of one device of an OpenIGTLink server, each of which is a frame.

    A lost connection is made again for as long as the source is open; what was lost meanwhile is in ``Capture.gap``. A
    damaged message costs its frame. Bytes that are no OpenIGTLink end the connection, and a new one is made. Memory is
    bounded by ``openigtlink.BODY_BYTES``, whatever is sent. Frames wait in the network while nobody asks for them:
    the server knows by then, and what it drops is found by its index.

    Images keep their orientation, origin and time, and what trackers sent since the image before (``igtl_tracking``; of
    any device, the newest 256) goes with the next one, in ``Capture.pose``. An image that its sender calls invalid is a
    gap.

    Args:
        device: the name that its images carry, of which the first 20 bytes count; None for that of the first one that
            comes. When none of its images has come by the end, ``frames`` raises SourceError with the names that did.

    Raises:
        SourceError: nobody listens there.
        DependencyError: pyigtl is absent.
    """

    live: bool = True

    def __init__(self, host: str, port: int = PORT, device: str | None = None) -> None:
        require()
        self.name = f"igtl://{host}:{port}" + (f"/{printable(device)}" if device else "")
        self.period_s: float | None = None
        self.spacing_mm: tuple[float, float] | None = None
        self.length: int | None = None
        self._device = device
        self._first: bytes | None = None  # the name of the device that sent the first image
        self._closed = threading.Event()
        self._backoff = Backoff(self._closed)
        self._gaps, self._scale = Gaps(), LiveScale()
        self._mentioned: set[str] = set()
        self._others: dict[str, str] = {}  # other devices that send images: their names for people, and in addresses
        self._came = False
        self._transforms: deque[Transform] = deque(maxlen=_TRANSFORMS_AT_MOST)
        try:
            self._reader: Reader | None = _connect((host, port), _CONNECT_S)
            self._address = self._reader.peer  # so that no name has to be looked up while frames are missed
        except OSError as error:
            raise SourceError(
                f"nobody answers at {self.name} ({error.strerror or error}): start the OpenIGTLink server there first "
                "(PlusServer, or 3D Slicer's OpenIGTLinkIF with a connector of type Server)"
            ) from error

    def frames(self) -> Iterator[Capture]:
        until_ns = perf_counter_ns() + round(_PATIENCE_S * 1e9)
        while not self._closed.is_set():
            if not self._came and self._others and perf_counter_ns() >= until_ns:
                until_ns += 20 * round(_PATIENCE_S * 1e9)
                _log.warning("%s", self._who_sends())
            if self._reader is None:
                self._reconnect()
                continue
            try:
                message = self._reader.read(self._wanted)
                if message is None:
                    continue
                capture = self._capture(*message)
            except StrayBytes as error:
                self._lose(str(error))
                yield Capture(None, str(error))
                continue
            except OSError as error:
                self._lose(error.strerror or str(error))
                continue
            self._backoff.reset()
            if capture is not None:
                yield capture
        if not self._came and self._others:
            raise SourceError(self._who_sends())

    def close(self) -> None:
        self._closed.set()
        reader = self._reader
        if reader is not None:
            reader.close()

    def _wanted(self, header: Header) -> bool:
        if header.type in TRACKING and header.body_bytes <= _TRACKING_BYTES_AT_MOST:
            self._mention(f"{header.type} messages, which go with the images")
            return True
        if header.type != "IMAGE":
            self._mention(f"{header.type} messages, which are left out")
            return False
        if self._device is None and self._first is None:
            self._first = header.name
            _log.info("%s: showing device '%s'", self.name, header.device)
        if header.name == self._first if self._device is None else header.is_from(self._device):
            self._came = True
            return True
        if len(self._others) < _NAMES_AT_MOST:
            self._others[header.device] = quote(header.text)
        self._mention(f"images of device '{header.device}', which are left out")
        return False

    def _mention(self, what: str, level: int = logging.INFO) -> None:
        """Once each, and not endlessly."""
        if what not in self._mentioned and len(self._mentioned) < _MENTIONED_AT_MOST:
            self._mentioned.add(what)
            _log.log(level, "%s also sends %s", self.name, what)

    def _who_sends(self) -> str:
        server, _, device = self.name.removeprefix("igtl://").partition("/")
        names = ", ".join(f"'{name}'" for name in self._others)
        example = f"igtl://{server}/{next(iter(self._others.values()))}"
        return f"no image of device '{device}' came, but images of {names}: ask for one of these, as in {example}"

    def _capture(self, header: Header, body: bytes) -> Capture | None:
        """The image with all that goes with it; None for transforms, and for what its sender calls no image."""
        arrived_ns = perf_counter_ns()
        if header.type in TRACKING:
            self._keep(header, body)
            return None
        transforms = tuple(self._transforms)
        self._transforms.clear()
        try:
            image = unpack_image(header, body)
        except ValueError as error:
            self._gaps.damaged()
            return Capture(None, str(error), captured_ns=arrived_ns)
        if not image.valid:
            self._gaps.invalid()
            return None
        gap = self._gaps.before(image.index, header.timestamp_s)
        pose = Pose(image.plane, transforms, plausible_time(header.timestamp_s))
        pixels = self._scale.to_unit_range(image.pixels)
        return Capture(pixels, None, gap, arrived_ns, image.spacing_mm, pose=pose)

    def _keep(self, header: Header, body: bytes) -> None:
        try:
            self._transforms.extend(unpack_tracking(header, body))
        except ValueError as error:
            self._mention(f"what cannot be read, which is left out: {error}", logging.WARNING)

    def _lose(self, why: str) -> None:
        if not self._closed.is_set():
            _log.warning("%s: connection lost (%s); connecting again", self.name, why)
        if self._reader is not None:
            self._reader.close()
        self._reader = None
        self._transforms.clear()
        self._gaps.broke()

    def _reconnect(self) -> None:
        if not self._backoff.wait():
            return
        try:
            self._reader = _connect(self._address, _WAKE_S)
        except OSError:
            return
        _log.info("%s: connected again", self.name)
        if self._closed.is_set():
            self._reader.close()


class Reader:
    """Receives one message after the other, and keeps what it has of one when it must wake up in between.

    Memory grows with what has arrived, not with what a header promises.

    Args:
        connection: with a timeout.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._lock = threading.Lock()
        self._header: Header | None = None
        self._buffer = bytearray(_CHUNK)
        self._filled = 0
        self._skip = 0

    @property
    def peer(self) -> tuple[str, int]:
        """Numeric address and port of the other end. Raises OSError when it has gone already."""
        host, port = self._socket.getpeername()[:2]
        return str(host), int(port)

    def read(self, wanted: Callable[[Header], bool]) -> tuple[Header, bytes] | None:
        """The next wanted message; None when it is not there yet.

        Raises:
            OSError: the connection is lost. StrayBytes: see ``parse_header``.
        """
        with self._lock:
            while True:
                if not self._pass_over():
                    return None
                if self._header is None:
                    if not self._fill(HEADER_BYTES):
                        return None
                    header = parse_header(self._take(HEADER_BYTES))
                    if not wanted(header):
                        self._skip = header.body_bytes
                        continue
                    self._header = header
                if not self._fill(self._header.body_bytes):
                    return None
                header, self._header = self._header, None
                return header, self._take(header.body_bytes)

    def close(self) -> None:
        """Any thread may call it; the one that reads wakes up at once."""
        with suppress(OSError):  # the connection may be lost already
            self._socket.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._socket.close()

    def _fill(self, size: int) -> bool:
        while self._filled < size:
            if self._filled == len(self._buffer):
                self._buffer.extend(bytes(min(size, 2 * self._filled) - self._filled))
            got = self._receive(self._filled, min(size, len(self._buffer)))
            if not got:
                return False
            self._filled += got
        return True

    def _pass_over(self) -> bool:
        while self._skip:
            got = self._receive(0, min(self._skip, len(self._buffer)))
            if not got:
                return False
            self._skip -= got
        return True

    def _receive(self, start: int, end: int) -> int:
        try:
            with memoryview(self._buffer) as view:
                got = self._socket.recv_into(view[start:end])
        except TimeoutError:
            return 0
        if not got:
            raise ConnectionError("the server closed it")
        return got

    def _take(self, size: int) -> bytes:
        self._filled = 0
        return bytes(memoryview(self._buffer)[:size])


def _connect(address: tuple[str, int], seconds: float) -> Reader:
    connection = socket.create_connection(address, seconds)
    connection.settimeout(_WAKE_S)
    _keep_alive(connection)
    return Reader(connection)


def _keep_alive(connection: socket.socket) -> None:
    """A peer whose cable was pulled is found out in some 15 s; a frozen image keeps its connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        for option, value in ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 3), (socket.TCP_KEEPCNT, 3)):
            connection.setsockopt(socket.IPPROTO_TCP, option, value)


def _open(place: str, query: Query) -> Source:
    parts = split_uri(place)
    if not parts.hostname:
        raise UsageError(f"'{place}' names no host: give igtl://HOST:{PORT}, or igtl://HOST:{PORT}/DEVICE")
    return IgtlSource(parts.hostname, parts.port or PORT, unquote(parts.path).strip("/") or None)


SOURCE = SourceKind(
    name="OpenIGTLink",
    title="an OpenIGTLink source",
    schemes=("igtl",),
    addresses=("igtl://HOST[:PORT][/DEVICE]",),
    open=_open,
)

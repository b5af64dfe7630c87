"""OpenIGTLink server: 3D Slicer, PLUS and others connect to it and get every shown frame."""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import SinkError, UsageError, first_line
from edgerecon.core.frame import Frame, Image, to_uint8
from edgerecon.core.pose import OK, Pose
from edgerecon.stream.process.guarded import GuardedThread
from edgerecon.stream.protocols.openigtlink import PORT, pack_image, pack_transform, require
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.kind import SinkKind
from edgerecon.stream.sources.query import Query
from edgerecon.stream.uri import split_uri

_log = logging.getLogger(__name__)

DEVICE = "edgerecon"
CLIENTS_AT_MOST = 16
WAITING_AT_MOST = 8
"""Frames that wait for one client: a slow one is to see what is nearly new."""

PACKING_AT_MOST = 32
"""Frames that wait to be packed, when the machine is busy with something else for a moment."""

_LAST_WORDS_S = 1.0
_DEAD_S = 10.0


@dataclass
class Client:
    """One connection.

    Attributes:
        sent, dropped: frames it got, and frames it was too slow for: ``sent + dropped + waiting`` is all there were
            since it connected. last: count of the last frame it was to get. moved_s: when it last took a byte.
    """

    connection: socket.socket
    peer: str
    sent: int = 0
    dropped: int = 0
    last: int | None = None
    moved_s: float = field(default_factory=time.monotonic)
    waiting: deque[list[memoryview]] = field(default_factory=deque)
    _parts: list[memoryview] = field(default_factory=list)

    def offer(self, number: int, message: list[memoryview]) -> None:
        """Queue a message; the oldest one that waits is left out when too many do."""
        if self.last is not None:
            self.dropped += number - self.last - 1
        self.last = number
        if not self.busy:
            self.moved_s = time.monotonic()
        if len(self.waiting) >= WAITING_AT_MOST:
            self.waiting.popleft()
            self.dropped += 1
        self.waiting.append(message)

    def send(self) -> bool:
        """Send what the network takes. Returns whether something is left. Raises OSError when the client is gone."""
        while self._parts or self.waiting:
            if not self._parts:
                self._parts = list(self.waiting.popleft())
            try:
                taken = self._give()
            except BlockingIOError:
                return True
            self.moved_s = time.monotonic()
            while self._parts and taken >= len(self._parts[0]):
                taken -= len(self._parts.pop(0))
            if self._parts:
                self._parts[0] = self._parts[0][taken:]
            else:
                self.sent += 1
        return False

    def _give(self) -> int:
        """Bytes that the network takes now: of all parts at once, where sockets can (not on Windows)."""
        if hasattr(self.connection, "sendmsg"):
            return self.connection.sendmsg(self._parts)
        return self.connection.send(self._parts[0])

    def abandon(self, number: int) -> None:
        """Count what it will not get any more, up to frame ``number``."""
        self.dropped += len(self.waiting) + bool(self._parts)
        if self.last is not None:
            self.dropped += number - self.last
        self.waiting.clear()
        self._parts.clear()

    @property
    def busy(self) -> bool:
        """Whether messages wait or one is half sent."""
        return bool(self._parts or self.waiting)


class _Item(NamedTuple):
    """A frame on its way to the packing thread; ``number`` counts what was presented, ``taken_s`` is Unix time."""

    number: int
    sequence: int
    taken_s: float
    pixels: NDArray[np.uint8]
    spacing_mm: tuple[float, float] | None
    pose: Pose | None


class IgtlServerSink:
    """Sends every frame as an 8-bit IMAGE of device "edgerecon", numbered by the message's id: its sequence number + 1.

    The image lies where its pose says, and bears the time of the device that took it, or else of its arrival here; the
    tracker's transforms that came with it go before it, as TRANSFORM messages of their own names.

    A client sees by the numbers what it missed, here or on the way here. A slow one loses its oldest waiting frames, a
    dead one its connection; neither holds back the stream. What clients send is received and left alone. The protocol
    knows neither encryption nor passwords: beyond loopback, whoever reaches the port sees the images.

    Should the server's thread fail, its clients are cut off and ``present`` raises; the stream opens it again.

    Args:
        host: address to listen on. port: 0 chooses a free one.
        version: of the message header. 1 is for receivers of protocol 1 and 2 (Debian's library, old PLUS and Slicer):
            without the frames' numbers, and without the transforms that the tracker calls invalid.

    Attributes:
        url: where it listens. skipped: frames dropped for slow clients, over all of them.

    Raises:
        SinkError: the address cannot be listened on.
        DependencyError: pyigtl is absent.
    """

    name = "igtl"
    quick = True
    reopens = True

    def __init__(self, host: str = "127.0.0.1", port: int = 0, version: int = 2) -> None:
        require()
        self._host, self.port, self._version = host, port, version
        self.clients: list[Client] = []
        self._dropped_before = 0
        self._frames = 0
        self._inbox: deque[_Item] = deque()
        self._stop = threading.Event()
        self._thread: GuardedThread | None = None
        self._listen()
        self.url = f"igtl://{host}:{self.port}"
        if not _is_loopback(host):
            _log.warning("%s is open to the network: OpenIGTLink has no password and no encryption", self.url)

    def _listen(self) -> None:
        try:
            family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
            self._listener = socket.create_server((self._host, self.port), family=family, backlog=CLIENTS_AT_MOST)
        except OSError as error:
            raise SinkError(f"cannot listen on {self._host} port {self.port}: {error.strerror or error}") from error
        self._listener.setblocking(False)
        self.port = int(self._listener.getsockname()[1])
        self._bell, self._ear = socket.socketpair()
        self._bell.setblocking(False)
        self._ear.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._ear, selectors.EVENT_READ)

    @property
    def skipped(self) -> int:
        """Messages that slow clients did not get."""
        return self._dropped_before + sum(client.dropped for client in tuple(self.clients))

    def open(self, info: StreamInfo) -> None:
        if self._listener.fileno() < 0:  # it was closed, after a failure
            self._listen()
        self._stop.clear()
        while self._accept():
            pass  # who is there already gets the first frame
        self._thread = GuardedThread("igtl server", self._serve, self._cut_off)
        self._thread.start()

    def present(self, before: Image, after: Frame, late: bool) -> None:
        self._raise(self._thread)
        self._frames += 1
        if not self.clients:
            return
        if max(after.pixels.shape) > 0xFFFF:
            raise SinkError(f"OpenIGTLink images have at most 65535 pixels a side, not {after.pixels.shape}")
        if len(self._inbox) >= PACKING_AT_MOST:
            return  # its number will be missing, and counted, for every client
        taken_s = time.time() - (time.perf_counter_ns() - after.captured_ns) / 1e9
        if after.pose is not None and after.pose.timestamp_s is not None:
            taken_s = after.pose.timestamp_s  # the transforms bear times of the same clock
        pixels = to_uint8(after.pixels)
        self._inbox.append(_Item(self._frames, after.sequence, taken_s, pixels, after.spacing_mm, after.pose))
        self._ring()

    def close(self) -> None:
        self._stop.set()
        self._ring()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        self._selector.close()
        for connection in (self._listener, self._bell, self._ear):
            connection.close()
        self._leave_clients()
        self._inbox.clear()
        self._raise(thread)

    def _raise(self, thread: GuardedThread | None) -> None:
        if thread is not None and thread.failure is not None:
            raise SinkError(f"{self.url} failed, its clients were cut off: {first_line(thread.failure)}")

    def _leave_clients(self) -> None:
        for client in self.clients:
            client.connection.close()
            client.abandon(self._frames)
            self._dropped_before += client.dropped
        self.clients.clear()

    def _cut_off(self, failure: BaseException) -> None:
        """Clients that stayed connected would take the last image for a live one."""
        self._listener.close()
        self._leave_clients()
        _log.error("%s failed, its clients were cut off: %s", self.url, first_line(failure))

    def _ring(self) -> None:
        with suppress(OSError):  # full: the server will wake up anyway
            self._bell.send(b"\0")

    def _serve(self) -> None:
        give_up_s = float("inf")
        while not (self._stop.is_set() and not self._inbox and not any(client.busy for client in self.clients)):
            if self._stop.is_set():
                give_up_s = min(give_up_s, time.monotonic() + _LAST_WORDS_S)
            if time.monotonic() >= give_up_s:
                return
            for key, events in self._selector.select(0.25):
                self._handle(key, events)
            self._spread()
            for client in tuple(self.clients):
                self._send(client)

    def _handle(self, key: selectors.SelectorKey, events: int) -> None:
        if key.fileobj is self._listener:
            self._accept()
        elif key.fileobj is self._ear:
            self._ear.recv(4096)
        elif events & selectors.EVENT_READ:
            client = cast(Client, key.data)
            try:
                if not client.connection.recv(1 << 16):
                    self._part(client, "it left")
            except BlockingIOError:
                return
            except OSError as error:
                self._part(client, error.strerror or str(error))

    def _accept(self) -> bool:
        """Returns whether there was somebody."""
        try:
            connection, address = self._listener.accept()
        except OSError:
            return False  # nobody, or it left before it was accepted
        if len(self.clients) >= CLIENTS_AT_MOST:
            connection.close()
            _log.warning("%s: more than %d clients: one was turned away", self.url, CLIENTS_AT_MOST)
            return True
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = Client(connection, f"{address[0]}:{address[1]}")
        self._selector.register(connection, selectors.EVENT_READ, client)
        self.clients.append(client)
        _log.info("%s: client %s connected", self.url, client.peer)
        return True

    def _spread(self) -> None:
        """Pack what waits once, and offer it to every client."""
        while self._inbox:
            item = self._inbox.popleft()
            message = self._pack(item)
            for client in self.clients:
                client.offer(item.number, message)

    def _pack(self, item: _Item) -> list[memoryview]:
        """The transforms, then the image."""
        pose, parts = item.pose or Pose(), []
        for transform in pose.transforms:
            if self._version > 1 or transform.status == OK:  # version 1 has no place for a status
                parts += pack_transform(transform, item.taken_s, self._version)
        return parts + pack_image(
            item.pixels, item.spacing_mm, DEVICE, item.sequence + 1, item.taken_s, pose.plane, self._version
        )

    def _send(self, client: Client) -> None:
        try:
            left = client.send()
        except OSError as error:
            self._part(client, error.strerror or str(error))
            return
        if left and time.monotonic() - client.moved_s > _DEAD_S:
            self._part(client, f"it took nothing for {_DEAD_S:.0f} s")
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if left else 0)
        self._selector.modify(client.connection, events, client)

    def _part(self, client: Client, why: str) -> None:
        client.abandon(client.last or 0)
        _log.info(
            "%s: client %s: %s; %d frames sent, %d dropped", self.url, client.peer, why, client.sent, client.dropped
        )
        self._selector.unregister(client.connection)
        client.connection.close()
        self.clients.remove(client)
        self._dropped_before += client.dropped


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def open_igtl(place: str, query: Query) -> IgtlServerSink:
    """Listen on ``igtl://[HOST][:PORT][?version=1]``: loopback and the standard's port where none is given.

    Raises:
        UsageError: not such an address. SinkError, DependencyError: see ``IgtlServerSink``.
    """
    return IgtlServerSink(*_address(place, query))


def _address(place: str, query: Query) -> tuple[str, int, int]:
    """Host, port and version of the protocol. Raises UsageError."""
    parts, version = split_uri(place), query.get("version", "2")
    if parts.path.strip("/"):
        raise UsageError(f"'{place}': give igtl://:PORT, or igtl://HOST:PORT to listen beyond this machine")
    if version not in ("1", "2"):
        raise UsageError(f"'{place}': version={version} is none of OpenIGTLink's headers: give version=1 or version=2")
    return parts.hostname or "127.0.0.1", PORT if parts.port is None else parts.port, int(version)


SINK = SinkKind(
    name="OpenIGTLink",
    title="an OpenIGTLink server",
    schemes=("igtl",),
    addresses=("igtl://:PORT",),
    options=("version",),
    watched=True,
    open=open_igtl,
    check=_address,
)

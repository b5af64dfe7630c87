"""Frame grabbers and cameras: Video4Linux devices, through OpenCV."""

from __future__ import annotations

import logging
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter_ns
from typing import Any
from urllib.parse import unquote

import cv2

from edgerecon.core.errors import SourceError
from edgerecon.stream.process.backoff import Backoff
from edgerecon.stream.sources.base import Capture, Source
from edgerecon.stream.sources.kind import SourceKind
from edgerecon.stream.sources.live.gaps import Gaps
from edgerecon.stream.sources.live.pump import pump
from edgerecon.stream.sources.live.size_fps import OPTIONS, size_fps
from edgerecon.stream.sources.query import Query
from edgerecon.stream.uri import split_uri

_log = logging.getLogger(__name__)


class CameraSource:
    """Frames of a V4L2 device, as luma. A device that is unplugged is opened again when it is back.

    Args:
        path: of the device. size: (height, width) to ask for, or None for the device's own. fps: likewise.

    Raises:
        SourceError: no such device, or one that gives no images.
    """

    live: bool = True
    spacing_mm: tuple[float, float] | None = None

    def __init__(self, path: Path, size: tuple[int, int] | None = None, fps: float | None = None) -> None:
        self.name = f"v4l2://{path}"
        self.length: int | None = None
        self._path, self._size, self._fps = path, size, fps
        self._closed = threading.Event()
        self._gaps = Gaps()
        if not is_device(path):
            found = ", ".join(str(device) for device in sorted(Path("/dev").glob("video*"))) or "none"
            raise SourceError(f"{path} is no video device: plug the frame grabber in (devices found: {found})")
        self._device: Any = self._open()
        if self._device is None:
            raise SourceError(f"{path} cannot be opened: another program uses it, or you are not in its group 'video'")
        rate = self._device.get(cv2.CAP_PROP_FPS)
        self.period_s: float | None = 1 / rate if 0.1 <= rate <= 10_000 else None

    def frames(self) -> Iterator[Capture]:
        return pump(self._read(), self._closed)

    def close(self) -> None:
        self._closed.set()

    def _read(self) -> Iterator[Capture]:
        backoff = Backoff(self._closed)
        while not self._closed.is_set():
            if self._device is None:
                if backoff.wait():
                    self._device = self._open()
                continue
            taken, image = self._device.read()
            if not taken:
                _log.warning("%s gives no more images; opening it again", self.name)
                self._device.release()
                self._device = None
                self._gaps.broke()
                continue
            backoff.reset()
            gap = self._gaps.before(None, self._device.get(cv2.CAP_PROP_POS_MSEC) / 1e3)
            shown = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
            yield Capture(shown, gap=gap, captured_ns=perf_counter_ns())
        if self._device is not None:
            self._device.release()

    def _open(self) -> Any:
        device = cv2.VideoCapture(str(self._path), cv2.CAP_V4L2)
        if not device.isOpened():
            device.release()
            return None
        if self._size is not None:
            device.set(cv2.CAP_PROP_FRAME_HEIGHT, self._size[0])
            device.set(cv2.CAP_PROP_FRAME_WIDTH, self._size[1])
        if self._fps is not None:
            device.set(cv2.CAP_PROP_FPS, self._fps)
        return device


def is_device(path: Path) -> bool:
    """Whether there is a character device (OpenCV would write its own complaints to the terminal)."""
    try:
        return stat.S_ISCHR(path.stat().st_mode)
    except OSError:
        return False


def _open(place: str, query: Query) -> Source:
    parts = split_uri(place)
    return CameraSource(Path(unquote(parts.netloc + parts.path)), *size_fps(query))


SOURCE = SourceKind(
    name="video device",
    title="a video device",
    schemes=("v4l2",),
    addresses=("v4l2:///dev/video0[?size=1280x720&fps=60]",),
    options=OPTIONS,
    open=_open,
)

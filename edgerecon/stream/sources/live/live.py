"""Opens live sources by their address."""

from __future__ import annotations

import math
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote

from edgerecon.core.errors import UsageError
from edgerecon.stream.protocols.openigtlink import PORT
from edgerecon.stream.sources.base import Source
from edgerecon.stream.uri import split_uri

SCHEMES = ("igtl", "shm", "sim", "v4l2", "rtsp", "udp")
_SIDE_AT_MOST = 4096


def open_live(uri: str) -> Source:
    """Connect to a live source. No frame is taken yet.

    Args:
        uri: igtl://HOST[:PORT][/DEVICE], shm://NAME, sim://[?size=WIDTHxHEIGHT&fps=N],
            v4l2:///dev/videoN[?size=WIDTHxHEIGHT&fps=N], rtsp://... or udp://[@]HOST:PORT.

    Raises:
        UsageError: not such an address.
        SourceError: nothing is there.
        DependencyError: a package is absent.
    """
    if uri.lower().startswith("shm://"):  # a name, neither host nor port
        from edgerecon.stream.sources.live.shm import ShmSource

        return ShmSource(uri[len("shm://") :])
    parts = split_uri(uri)
    port = parts.port
    if parts.scheme == "igtl":
        if not parts.hostname:
            raise UsageError(f"'{uri}' names no host: give igtl://HOST:{PORT}, or igtl://HOST:{PORT}/DEVICE")
        from edgerecon.stream.sources.live.igtl import IgtlSource

        return IgtlSource(parts.hostname, port or PORT, unquote(parts.path).strip("/") or None)
    if parts.scheme == "sim":
        from edgerecon.stream.sources.live.sim import SimSource

        size, fps = _size_fps(parts)
        return SimSource(*(size or (256, 256)), fps=fps or 30.0)
    if parts.scheme == "v4l2":
        from edgerecon.stream.sources.live.camera import CameraSource

        return CameraSource(Path(unquote(parts.netloc + parts.path)), *_size_fps(parts))
    if parts.scheme == "udp" and not port:
        raise UsageError(f"'{uri}' names no port: give udp://0.0.0.0:PORT to listen on, or udp://@GROUP:PORT")
    from edgerecon.stream.sources.live.network_video import NetworkVideoSource

    return NetworkVideoSource(uri)


def _size_fps(parts: SplitResult) -> tuple[tuple[int, int] | None, float | None]:
    """``size`` as (height, width), and ``fps``."""
    size: tuple[int, int] | None = None
    fps: float | None = None
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        try:
            if key == "size":
                width, height = (int(side) for side in value.lower().split("x"))
                size = (height, width)
            elif key == "fps":
                fps = float(value)
            else:
                raise UsageError(f"{parts.scheme}:// knows size=WIDTHxHEIGHT and fps=N, not '{key}'")
        except ValueError:
            raise UsageError(f"{key}={value} cannot be read: give size=WIDTHxHEIGHT and fps=N") from None
    if size is not None and not all(16 <= side <= _SIDE_AT_MOST for side in size):
        raise UsageError(f"size={size[1]}x{size[0]}: sides are from 16 to {_SIDE_AT_MOST} pixels")
    if fps is not None and not (math.isfinite(fps) and 0.1 <= fps <= 10_000):
        raise UsageError(f"fps={fps}: give a number from 0.1 to 10000")
    return size, fps

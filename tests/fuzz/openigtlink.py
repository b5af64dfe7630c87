"""Fuzzes what reads OpenIGTLink bytes, with atheris: no bytes may crash it, hang it or eat memory.

python tests/fuzz/openigtlink.py -max_total_time=60 -max_len=4096 -rss_limit_mb=600 -timeout=5
"""

from __future__ import annotations

import socket
import sys

import atheris

with atheris.instrument_imports(include=["edgerecon.stream", "pyigtl"]):
    from pyigtl import messages  # noqa: F401 - to be instrumented

    from edgerecon.stream.protocols.igtl_tracking import TRACKING, unpack_tracking
    from edgerecon.stream.protocols.openigtlink import (
        BODY_BYTES,
        HEADER_BYTES,
        StrayBytes,
        unpack_image,
    )
    from edgerecon.stream.sources.live.igtl import Reader

import numpy as np

from edgerecon.core.pose import Transform
from edgerecon.stream.protocols.openigtlink import pack_image, pack_transform

GOOD = b"".join(pack_image(np.arange(48, dtype=np.uint8).reshape(6, 8), (0.2, 0.1), "Probe", 7, 1.5))
TRACKED = b"".join(pack_transform(Transform("ProbeToTracker", np.eye(4), "OUT_OF_VIEW"), 1.5))
UNCHECKED = [one[:50] + bytes(8) + one[HEADER_BYTES:] for one in (GOOD, TRACKED)]


def one_input(data: bytes) -> None:
    """Raw bytes, and the same bytes laid over good messages without a checksum."""
    read_all(data)
    for good in UNCHECKED:
        at = data[0] % len(good) if data else 0
        read_all(good[:at] + data[1:64] + good[at + len(data[1:64]) :] + GOOD)


def read_all(data: bytes) -> None:
    here, there = socket.socketpair()
    here.settimeout(0.001)
    reader = Reader(here)
    try:
        there.sendall(data)
        there.shutdown(socket.SHUT_WR)
        while (message := reader.read(lambda header: header.type in ("IMAGE", *TRACKING))) is not None:
            header, body = message
            assert len(body) == header.body_bytes <= BODY_BYTES and header.device.isprintable()
            try:
                if header.type in TRACKING:
                    assert all(np.isfinite(one.matrix).all() for one in unpack_tracking(header, body))
                    continue
                image = unpack_image(header, body)
            except ValueError as error:
                assert "\n" not in str(error)
            else:
                assert 0 < image.pixels.size <= len(body)
                assert image.plane is None or np.isfinite(image.plane.axes).all()
    except (StrayBytes, ConnectionError):
        pass
    finally:
        there.close()
        reader.close()


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()

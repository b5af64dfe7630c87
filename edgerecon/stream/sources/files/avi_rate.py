"""Whether an AVI states the rate of its video: FFmpeg takes 25 frames a second where it does not."""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

_HEAD = 1 << 16  # the lists of headers come first
_RATE_AT = 28  # of dwScale and dwRate, from the name of the chunk "strh" (AVISTREAMHEADER of vfw.h)
_PERIOD_AT = 8  # of dwMicroSecPerFrame, from the name of the chunk "avih"


def states_no_rate(file: BinaryIO) -> bool:
    """Whether both the head of the video stream and that of the file state 0. The file stands where it stood."""
    at = file.tell()
    file.seek(0, os.SEEK_SET)
    head = file.read(_HEAD)
    file.seek(at)
    stream = head.find(b"vids") - 8
    try:
        scale, rate = struct.unpack_from("<II", head, stream + _RATE_AT)
        (period_us,) = struct.unpack_from("<I", head, head.index(b"avih") + _PERIOD_AT)
    except (struct.error, ValueError):
        return False
    return stream >= 0 and not (scale and rate) and not period_us

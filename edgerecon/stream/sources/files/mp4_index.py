"""The sample tables of an MP4 file, checked before FFmpeg builds its index from them.

A table of a few bytes may declare as many samples as 32 bits count, and FFmpeg takes 36 bytes of memory for each.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from edgerecon.core.errors import SourceError

_SAMPLES_AT_MOST = 4_000_000  # 18 hours at 60 frames a second; 150 MB of index
_SAMPLE_AT_MOST = 256 << 20  # bytes: a raw colour frame of the largest size
_BEGINNINGS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp", b"moof")
_PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf")
_BOXES_AT_MOST = 100_000
_BLOCK = 1 << 16


def check_sample_tables(path: Path) -> None:
    """Raises SourceError when the file declares more or larger samples than a recording has.

    Files of other formats pass.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(8)[4:] not in _BEGINNINGS:
            return
        declared, track = 0, _Track()
        for kind, start, end in _boxes(file, size):
            if kind in (b"trak", b"traf"):
                declared, track = declared + track.indexed, _Track()
            file.seek(start)
            track.read(file, kind, end - start, path.name)
            if declared + track.indexed > min(_SAMPLES_AT_MOST, size):
                declared += track.indexed
                raise SourceError(f"{path.name} declares {declared:,} samples, which its {size:,} bytes cannot hold")


class _Track:
    """What the boxes of one track say about its samples."""

    def __init__(self) -> None:
        self._samples, self._is_sound, self._is_pcm = 0, False, False

    @property
    def indexed(self) -> int:
        """Number of samples that are indexed each by itself: those of PCM sound are by the thousand."""
        return 0 if self._is_sound and self._is_pcm else self._samples

    def read(self, file: BinaryIO, kind: bytes, length: int, name: str) -> None:
        if kind not in (b"hdlr", b"stts", b"stsz", b"stz2", b"trun"):
            return
        words = struct.unpack(">4I", file.read(min(length, 16)).ljust(16, b"\0"))
        if kind == b"hdlr":
            self._is_sound |= words[2] == int.from_bytes(b"soun", "big")
        elif kind == b"stts":
            self._is_pcm = words[1] == 1 and words[3] == 1
        elif kind == b"trun":
            self._samples += words[1]
        else:
            self._samples += words[2]
            if kind == b"stsz" and (words[1] or _largest(file, length - 12)) > _SAMPLE_AT_MOST:
                raise SourceError(
                    f"{name} declares samples of more than {_SAMPLE_AT_MOST >> 20} MB: no frame is as large"
                )


def _boxes(file: BinaryIO, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) of the bodies of all boxes, parents before their children."""
    ends, at = [end], 0
    for _ in range(_BOXES_AT_MOST):
        while ends and at + 8 > ends[-1]:
            at = ends.pop()
        if not ends:
            return
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return
        (length,), kind, body = struct.unpack_from(">I", head), head[4:8], at + 8
        if length == 1 and len(head) == 16:
            (length,) = struct.unpack_from(">Q", head, 8)
            body += 8
        stop = ends[-1] if length == 0 else min(at + length, ends[-1])
        if stop < body:
            return  # damaged: FFmpeg says so
        yield kind, body, stop
        if kind in _PARENTS:
            ends.append(stop)
        at = body if kind in _PARENTS else stop


def _largest(file: BinaryIO, length: int) -> int:
    """Of the 32-bit numbers that follow, the first of which is read already."""
    file.seek(-4, 1)
    largest = 0
    while length >= 4 and len(block := file.read(min(length, _BLOCK) // 4 * 4)) >= 4:
        largest = max(largest, *struct.unpack(f">{len(block) // 4}I", block[: len(block) // 4 * 4]))
        length -= len(block)
    return largest

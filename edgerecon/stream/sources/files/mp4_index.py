"""The boxes of an MP4 file, checked before FFmpeg builds its index from them.

A table of a few bytes may declare as many samples as 32 bits count, and FFmpeg takes 36 bytes of memory for each, once
for each entry of an edit list.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from edgerecon.core.errors import SourceError

PACKET_AT_MOST = 96 << 20  # bytes: FFmpeg takes twice as much for it; a compressed frame of any size is smaller
_SAMPLES_AT_MOST = 4_000_000  # 18 hours at 60 frames a second; 150 MB of index
_BOXES_AT_MOST = 1_000_000
_COUNTED = (b"hdlr", b"stts", b"stsz", b"stz2", b"trun", b"elst")
_PARENTS = (
    *(b"moov", b"trak", b"edts", b"mdia", b"minf", b"dinf", b"stbl", b"moof", b"traf", b"mvex", b"tref", b"udta"),
    *(b"free", b"hoov"),  # where FFmpeg looks for a moov when it found none
)
_BLOCK = 1 << 16


def check_sample_tables(path: Path) -> None:
    """Raises SourceError when the file declares more or larger samples than a recording has.

    In files of other formats no such box is found.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        samples, index, track = 0, 0, _Track()
        for number, (kind, start, end) in enumerate(_boxes(file, size)):
            if kind == b"cmov":
                raise SourceError(f"{path.name} has a compressed index, which may hold anything: copy it anew (remux)")
            if number >= _BOXES_AT_MOST:
                raise SourceError(f"{path.name} has more than {_BOXES_AT_MOST:,} boxes: copy it anew (remux)")
            if kind in (b"trak", b"traf"):
                samples, index, track = samples + track.samples, index + track.indexed, _Track()
            file.seek(start)
            track.read(file, kind, end - start, path.name)
            if samples + track.samples > size or index + track.indexed > _SAMPLES_AT_MOST:
                declared = max(samples + track.samples, index + track.indexed)
                raise SourceError(f"{path.name} declares {declared:,} samples, which its {size:,} bytes cannot hold")


class _Track:
    """What the boxes of one track say about its samples."""

    def __init__(self) -> None:
        self._samples, self._edits, self._is_sound, self._is_pcm = 0, 1, False, False

    @property
    def samples(self) -> int:
        """Number of samples that are indexed each by itself: those of PCM sound are by the thousand."""
        return 0 if self._is_sound and self._is_pcm else self._samples

    @property
    def indexed(self) -> int:
        """Number of entries of the index: an edit list may show each sample as often as it has entries."""
        return self.samples * self._edits

    def read(self, file: BinaryIO, kind: bytes, length: int, name: str) -> None:
        if kind not in _COUNTED:
            return
        words = struct.unpack(">4I", file.read(min(length, 16)).ljust(16, b"\0"))
        if kind == b"hdlr":
            self._is_sound |= words[2] == int.from_bytes(b"soun", "big")
        elif kind == b"stts":
            self._is_pcm = words[1] == 1 and words[3] == 1
        elif kind == b"elst":
            self._edits = max(1, min(words[1], length // 12))
        elif kind == b"trun":
            self._samples += words[1]
        else:
            self._samples += words[2]
            if kind == b"stsz" and (words[1] or _largest(file, length - 12)) > PACKET_AT_MOST:
                raise SourceError(
                    f"{name} declares samples of more than {PACKET_AT_MOST >> 20} MB: no frame is as large"
                )


def _boxes(file: BinaryIO, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) of the bodies of all boxes, parents before their children."""
    ends, at = [end], 0
    while ends:
        if at + 8 > ends[-1]:
            at = ends.pop()
            continue
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return
        (length,), kind, body = struct.unpack_from(">I", head), head[4:8], at + 8
        if length == 1 and len(head) == 16:
            (length,) = struct.unpack_from(">Q", head, 8)
            body += 8
        stop = ends[-1] if length == 0 else min(at + length, ends[-1])
        if stop < body:  # damaged: FFmpeg leaves this parent and goes on behind it
            at = ends.pop()
            continue
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

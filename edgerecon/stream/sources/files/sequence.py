"""Recordings that say of each frame where it lies: sequence files of PLUS (.mha, .mhd, .nrrd), and ours."""

from __future__ import annotations

import re
import statistics
import sys
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from pathlib import Path

from edgerecon.core.pose import Plane
from edgerecon.stream.protocols.sequence_fields import HEADER_LINES, INVALID, PREFIX, pose_of
from edgerecon.stream.sources.base import Capture, Source
from edgerecon.stream.sources.frame_rate import taken_period_s

_FIELD = re.compile(rb"Seq_Frame(\d{1,7})_([^\s:=]+)\s*:?=\s*(.*?)\s*", re.DOTALL)
_TIMED_FRAMES = 1000
"""Frames whose times the rate is taken from."""

_STATUS = ("ImageStatus", "Status")
"""In MetaImage and in NRRD."""

Fields = dict[str, str]


class FrameFields:
    """The fields of each frame in the header of a sequence file, those of one frame behind those of the one before.

    They are read again for every pass, one frame at a time: those of an hour would fill the memory.

    Args:
        path: of the header, which ends with the field ElementDataFile (MetaImage) or an empty line (NRRD).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._first = next(self._found(), None)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return self._first is not None

    def __iter__(self) -> Iterator[tuple[int, Fields]]:
        """Number and fields of each frame that has some, in the order of the file."""
        number, fields = -1, Fields()
        for found, name, value in self._found():
            if found != number and fields:
                yield number, fields
                fields = {}
            number = found
            fields[name] = value
        if fields:
            yield number, fields

    def count_invalid(self) -> int:
        """How many frames the recorder calls invalid."""
        lines = (line for line in self._lines() if b"INVALID" in line.upper())
        names = (match[2].decode("latin-1") for match in map(_FIELD.fullmatch, lines) if match is not None)
        return sum(name in _STATUS for name in names)

    def _found(self) -> Iterator[tuple[int, str, str]]:
        for match in map(_FIELD.fullmatch, self._lines()):
            if match is not None:
                yield int(match[1]), str(match[2], "utf-8", "replace"), str(match[3], "utf-8", "replace")

    def _lines(self) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            nrrd = file.readline(1 << 16).startswith(b"NRRD")
            for _ in range(HEADER_LINES):
                line = file.readline(1 << 16)
                if not line or line.startswith(b"ElementDataFile") or (nrrd and not line.strip()):
                    return
                if line.startswith(PREFIX):
                    yield line


class SequenceSource:
    """Another source's frames with the pose of each. A frame that the recorder calls invalid is a gap.

    Images whose pixels have no size in mm by their own header take it from where they lie.
    """

    live = False

    def __init__(self, source: Source, fields: FrameFields) -> None:
        self._source, self._fields = source, fields
        self.name = source.name
        self.length = None if source.length is None else max(0, source.length - fields.count_invalid())
        poses = [pose_of(said, (1, 1)) for _, said in islice(fields, _TIMED_FRAMES)]
        plane = poses[0].plane if poses else None
        times = [one.timestamp_s for one in poses if one.timestamp_s is not None]
        self.period_s = source.period_s or taken_period_s(self.name, _period_s(times))
        self.spacing_mm = source.spacing_mm or (_spacing(plane) if plane is not None else None)

    def frames(self) -> Iterator[Capture]:
        fields, lost = iter(self._fields), 0
        at, said = -1, Fields()
        for number, capture in enumerate(self._source.frames()):
            while at < number:
                at, said = next(fields, (sys.maxsize, Fields()))
            here = said if at == number else {}
            if _is_invalid(here):
                lost += 1
                continue
            capture.gap, lost = capture.gap + lost, 0
            if here and capture.image is not None:
                capture.pose = pose_of(here, capture.image.shape)
                capture.time_s = capture.pose.timestamp_s
                if self._source.spacing_mm is None and capture.pose.plane is not None:
                    capture.spacing_mm = _spacing(capture.pose.plane)
            yield capture

    def close(self) -> None:
        self._source.close()


def open_with_poses(opener: Callable[[Path], Source], path: Path) -> Source:
    """What ``opener`` gives, or a ``SequenceSource`` of it where the header says something of its frames."""
    source, fields = opener(path), FrameFields(path)
    return SequenceSource(source, fields) if fields else source


def _is_invalid(fields: Fields) -> bool:
    return any(fields.get(name, "").upper() == INVALID for name in _STATUS)


def _period_s(times: list[float]) -> float | None:
    """Median of the steps between the frames' own times."""
    step_s = statistics.median(after - before for before, after in pairwise(times)) if len(times) > 1 else 0.0
    return step_s or None  # times that are all alike tell nothing


def _spacing(plane: Plane) -> tuple[float, float] | None:
    """None for 1 and 1: what is written where nobody knows it."""
    row, column = (round(step, 9) for step in plane.spacing_mm)
    return None if (row, column) == (1.0, 1.0) else (row, column)

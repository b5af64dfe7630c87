"""Recordings whose format wants everything at once: pixels and stamps wait in two files until it can be written whole.

.NAME.PID.part    JSON lines: what the stream told, then each frame's stamp
.NAME.PID.spool   uint8 (T, H, W), or (T, H, W, 3) in colour, one frame behind the other
.NAME.PID.whole   what is written from them, and takes the name
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import islice, takewhile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import SinkError
from edgerecon.core.frame import MAX_PIXELS, Frame, Image
from edgerecon.core.json import parse
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.files.file_sink import FileSink
from edgerecon.stream.sinks.files.panel import Canvas
from edgerecon.stream.sinks.files.part import is_own
from edgerecon.stream.sinks.files.stamps import Stamp, Stamps

_LINE_BYTES = 1_000_000
_TOLD = tuple(field.name for field in fields(StreamInfo) if field.name not in ("counters", "controls"))


class SpooledSink(FileSink):
    """Memory is bounded, the disk space is needed twice at the end. Frames of another size than the first are
    letterboxed.

    A kind of file gives ``pack``; where it says more of a frame than a ``Stamp`` does, ``_fields``.

    Args:
        query: the options of the sink's address, kept for a recovery.

    Attributes:
        shape: (H, W) of each frame, None before the first. samples: bytes of a pixel.
    """

    samples = 1

    def __init__(self, path: Path, query: Mapping[str, str] | None = None) -> None:
        super().__init__(path)
        self.shape: tuple[int, int] | None = None
        self._query = dict(query or {})
        self._stamps: Stamps | None = None
        self._files: list[IO[bytes]] = []

    @abstractmethod
    def pack(self, spool: Spool, to: IO[bytes]) -> None:
        """Write the whole file."""

    def _begin(self) -> None:
        self._stamps, self._began = Stamps(self.info), datetime.now().isoformat()
        self._files = [place.open("wb") for place in (self.part.temporary, _pixels(self.part.temporary))]

    def _write(self, before: Image, after: Frame, late: bool) -> None:
        assert self._stamps is not None
        journal, pixels = self._files
        if self.shape is None:
            self._canvas = Canvas(after)
            self.shape, self._bytes = self._canvas.size, np.empty(self._canvas.shape, np.uint8)
            self.samples = 3 if self._bytes.ndim == 3 else 1
            told = {name: getattr(self.info, name) for name in _TOLD}
            head = {"shape": self._bytes.shape, "query": self._query, "began": self._began, "info": told}
            _write_line(journal, head)
        self._canvas.draw(after.pixels, after.drawn, self._bytes)
        pixels.write(self._bytes.data)
        pixels.flush()
        stamp = Stamp.of(after, late, self.info, self.shape)._replace(fields=self._fields(after))
        _write_line(journal, stamp)  # the stamp comes last: a frame counts when it has one
        self._stamps.add(stamp)

    def _fields(self, frame: Frame) -> dict[str, str] | None:
        """What the file is to say of a frame; ``Spool.fields`` gives it back."""
        return None

    def _finish(self) -> Path:
        assert self._stamps is not None and self.shape is not None
        self._close_files()
        pixels = _pixels(self.part.temporary)
        spool = Spool(self.info, self._query, self._began, self.shape, self._stamps, pixels, self._bytes.ndim == 3)
        with self._finished_file.open("wb") as file:
            self.pack(spool, file)
        return self._finished_file

    def _restore(self, cut: Path, to: Path) -> int:
        spool = read_spool(cut)
        with to.open("wb") as file:
            self.pack(spool, file)
        return len(spool.stamps)

    @property
    def _finished_file(self) -> Path:
        return self.part.temporary.with_suffix(".whole")

    def _let_go(self) -> None:
        with suppress(OSError):
            self._finished_file.unlink(missing_ok=True)
        with suppress(OSError):
            self._close_files()

    def _close_files(self) -> None:
        files, self._files = self._files, []
        for file in files:
            file.close()

    def _discard(self) -> None:
        _pixels(self.part.temporary).unlink(missing_ok=True)
        super()._discard()


@dataclass
class Spool:
    """What waits to be written.

    Attributes:
        info: what the stream told. query: of the sink's address. began: when, in local time, ISO 8601.
        shape: (H, W) of the frames. stamps: of each. path: of the pixels. coloured: whether each has three bytes, RGB.
    """

    info: StreamInfo
    query: Mapping[str, str]
    began: str
    shape: tuple[int, int]
    stamps: Stamps
    path: Path
    coloured: bool = False

    @property
    def samples(self) -> int:
        """Bytes of a pixel."""
        return 3 if self.coloured else 1

    @property
    def frames(self) -> NDArray[np.uint8]:
        """(T, H, W), or (T, H, W, 3) in colour, mapped from the disk."""
        shape = (len(self.stamps), *self.shape, *((3,) if self.coloured else ()))
        return np.memmap(self.path, np.uint8, "r", shape=shape)

    def fields(self) -> Iterator[dict[str, str]]:
        """Of each frame, from the journal: they are too many to be kept in memory."""
        with self.path.with_suffix(".part").open("rb") as journal:
            journal.readline()
            for line in islice(journal, len(self.stamps)):
                yield _parsed(line)[-1] or {}


def read_spool(part: Path) -> Spool:
    """What a process that is gone left: as many frames as have both their pixels and their stamp.

    Raises:
        SinkError: there is none, or the files are damaged.
    """
    try:
        lines = _lines(part)
        head = next(lines)
        info = StreamInfo(counters=Counters(), **{name: _tupled(head["info"][name]) for name in _TOLD})
        shape = int(head["shape"][0]), int(head["shape"][1])
        coloured = head["shape"][2:] == [3]
        spool = Spool(info, dict(head["query"]), str(head["began"]), shape, Stamps(info), _pixels(part), coloured)
        if min(shape) < 1 or shape[0] * shape[1] > MAX_PIXELS or not is_own(spool.path):
            raise ValueError("no size of a frame, or no file of pixels")
        room = spool.path.stat().st_size // (shape[0] * shape[1] * spool.samples)
        for line in takewhile(bool, islice(lines, room)):
            spool.stamps.add(Stamp(*map(_tupled, line)))
    except (OSError, ValueError, TypeError, KeyError, IndexError, StopIteration) as error:
        why = getattr(error, "strerror", None) or "it is no journal of one"
        raise SinkError(f"{part} holds no recording: {why}") from error
    if not spool.stamps:
        raise SinkError(f"{part} holds no whole frame")
    return spool


def stored_query(part: Path) -> dict[str, str]:
    """The options of the sink that began a recording; none where it keeps no journal."""
    try:
        with part.open("rb") as journal:
            return dict(_parsed(journal.readline(_LINE_BYTES))["query"])
    except (OSError, TypeError, KeyError, ValueError):
        return {}


def _pixels(part: Path) -> Path:
    return part.with_suffix(".spool")


def _lines(part: Path) -> Iterator[Any]:
    """What each line of a journal says; of one that was cut off None."""
    with part.open("rb") as journal:
        while line := journal.readline(_LINE_BYTES):
            yield _parsed(line)


def _write_line(journal: IO[bytes], content: Any) -> None:
    journal.write(json.dumps(content).encode() + b"\n")
    journal.flush()


def _parsed(line: bytes) -> Any:
    """None for a line that was cut off."""
    try:
        return parse(line)
    except ValueError:
        return None


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

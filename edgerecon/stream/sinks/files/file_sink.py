"""What the sinks that write a recording share: a temporary name, and what becomes of it."""

from __future__ import annotations

import errno
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from time import monotonic

from edgerecon.core.errors import EdgereconError, SinkError, first_line
from edgerecon.core.frame import Frame, Image
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.files.part import Part, leftovers, refuse_second_writer, written

CLOSE_S = 5.0
"""How long closing a file takes at most, beside copying what is in it."""

_SLOWEST_DISK = 5e6
"""Bytes a second that are written once more: an SD card, beside a stream."""

_LOOK_EVERY_S = 1.0
"""How often a recording looks whether its file is still there: the system lets a removed one be written on."""

_log = logging.getLogger(__name__)


class FileSink(ABC):
    """A recording under a temporary name, which takes its final name when it was finished without a fault.

    ``.NAME.PID.part`` lies beside the name until then, and after a crash, a kill or a full disk:
    ``recover`` makes a file of it. Nothing is left of a recording without frames.

    A kind of file gives ``_write`` (one frame; OSError and ValueError become a SinkError), ``_finish`` and
    ``_restore``; where wanted ``_begin`` (with ``self.info`` and ``self.part`` there) and ``_let_go``.

    Attributes:
        info: what the stream told. part: the temporary file.
        count: of the frames in it.
        recorded: the file, once it is whole.
    """

    info: StreamInfo
    part: Part

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.path = path
        self.count = 0
        self.recorded: Path | None = None
        self._is_open = self._failed = False
        self._ending, self._calling = threading.Lock(), threading.Lock()
        self._given_up = False
        self._look_at_s = 0.0

    def open(self, info: StreamInfo) -> None:
        self.info = info
        _name_leftovers(self.path.parent)
        refuse_second_writer(self.path)
        self.part = Part(self.path)
        self._is_open = True
        self._begin()

    def present(self, before: Image, after: Frame, late: bool) -> None:
        with self._one_call(), self._failing():
            if monotonic() >= self._look_at_s:
                self._look_at_s = monotonic() + _LOOK_EVERY_S
                self._refuse_removed()
            try:
                self._write(before, after, late)
            except FileNotFoundError:
                self._refuse_removed()  # before the next look
                raise
        self.count += 1

    def close(self) -> None:
        if not self._is_open:
            return
        if self._failed or not self.count:
            self.abandon()
            return
        try:
            with self._one_call(), self._failing():
                whole = self._finish()
                with self._ending:
                    if self._is_open:  # it was not given up meanwhile
                        self.part.finish(whole)
                        self._is_open, self.recorded = False, self.path
                        self._discard()  # what it was made from
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Leave what can be recovered under its temporary name; remove it when it holds no frame."""
        with self._ending:
            if not self._is_open:
                return
            self._is_open = False
        self._given_up = True
        if self._calling.acquire(blocking=False):
            self._calling.release()
            self._leave()

    def _refuse_removed(self) -> None:
        """Raises SinkError when the file or its folder was removed: hours would be recorded into nothing."""
        if not self.part.temporary.exists():
            raise SinkError(f"cannot write {self.path}: {self.part.temporary.name} is gone")

    @property
    def close_s(self) -> float:
        """How long ``close`` may take: what was recorded may have to be written once more."""
        return CLOSE_S + (self._size() if self._is_open else 0) / _SLOWEST_DISK

    def recover(self, cut: Path) -> int:
        """Write ``path`` from what another process left, which stays. Returns the number of frames.

        Raises:
            SinkError: it holds nothing that can be read, or the file cannot be written.
        """
        part = Part(self.path)
        try:
            try:
                frames = self._restore(cut, part.temporary)
            except EdgereconError:
                raise
            except Exception as error:  # libraries fail in many ways on damaged files
                on_disk = getattr(error, "errno", None) in errno.errorcode  # FFmpeg has numbers of its own
                what = f"cannot write {self.path}" if on_disk else f"{cut.name} cannot be read"
                raise SinkError(f"{what}: {getattr(error, 'strerror', None) or first_line(error)}") from error
            if not frames:
                raise SinkError(f"{cut.name} holds no whole frame")
            part.finish()
        finally:
            part.discard()
        return frames

    def _begin(self) -> None:  # noqa: B027 - a sink may have nothing to begin
        """Open what is written to."""

    @abstractmethod
    def _write(self, before: Image, after: Frame, late: bool) -> None: ...

    @abstractmethod
    def _finish(self) -> Path:
        """Make the file whole, and return where it lies. Until it has its name, ``part.temporary`` can be recovered."""

    @abstractmethod
    def _restore(self, cut: Path, to: Path) -> int:
        """Write what can be read of ``cut`` to ``to``, an empty file; returns the number of frames."""

    def _let_go(self) -> None:  # noqa: B027 - a sink may hold nothing
        """Close what is open, without finishing it; never raises. Called after a ``_finish`` that failed, too."""

    def _size(self) -> int:
        """Bytes of what lies under the temporary name."""
        part, size = self.part.temporary, 0
        for top in part.parent.glob(f"{escape(part.stem)}.*"):
            for path in (top, *top.rglob("*")):
                with suppress(OSError):  # it may have its final name by now
                    size += path.stat().st_size
        return size

    def _discard(self) -> None:
        self.part.discard()

    @contextmanager
    def _one_call(self) -> Iterator[None]:
        """A call that another thread may abandon while it hangs: libraries let nothing be closed under their feet."""
        try:
            with self._calling:
                yield
        finally:
            if self._given_up:
                self._leave()

    def _leave(self) -> None:
        try:
            self._let_go()
        finally:
            if not self.count:
                self._discard()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Remember a fault, and say where the frames until then are."""
        try:
            with written(self.path):
                yield
        except SinkError as error:
            self._failed = True
            if not self.count:
                raise
            if not self.part.temporary.exists():
                raise SinkError(f"{error}; the {self.count} frames until then were removed or moved") from error
            rest = f"the {self.count} frames until then are in {self.part.temporary.name}"
            raise SinkError(f"{error}; {rest}: edgerecon recover {self.path.parent}") from error
        except BaseException:
            self._failed = True
            raise


_named: set[Path] = set()


def _name_leftovers(folder: Path) -> None:
    """Each once in a process."""
    for cut in leftovers(folder):
        if cut.path not in _named:
            _named.add(cut.path)
            _log.warning("%s was cut off: finish it with: edgerecon recover %s", cut.path, folder)

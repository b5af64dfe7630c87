"""What sinks that send a recording to an archive share: it becomes a DICOM file, which is sent when it is whole."""

from __future__ import annotations

import logging
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from edgerecon.core.errors import SinkError
from edgerecon.core.frame import Frame, Image
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.files.dicom import DicomSink

OPTIONS = ("kind", "source", "patient")
"""The options of the file, see ``DicomSink``."""
ANSWER_S = 30.0
"""How long an archive may take for a step of the conversation."""
_SLOWEST_NETWORK = 1e6
"""Bytes a second."""
_log = logging.getLogger(__name__)


class DicomUpload(ABC):
    """Records into a folder of its own and sends the file when the stream ends.

    The file is removed once the archive has it. Where it does not take it, the file stays, and the error names it.

    A kind of archive gives ``_send``.

    Args:
        name: for people; holds no password. query: see ``DicomSink``.
        exposed: what is not encrypted on its way over a network, for a warning; "" when nothing is.

    Raises:
        UsageError, SinkError: see ``DicomSink``.
    """

    def __init__(self, name: str, query: Mapping[str, str], exposed: str = "") -> None:
        self.name = name
        if exposed:
            _log.warning("%s is not encrypted: %s can be read on the way", name, exposed)
        self._folder = Path(tempfile.gettempdir()) / f"edgerecon-upload-{uuid4().hex}"
        self._recording = DicomSink(self._folder / "recording.dcm", query)
        self.refers_to = self._recording.refers_to

    @property
    def close_s(self) -> float:
        """How long ``close`` may take: writing the file once more, then sending it."""
        written_s = self._recording.close_s
        return written_s + 2 * ANSWER_S + self._bytes() / _SLOWEST_NETWORK

    def open(self, info: StreamInfo) -> None:
        try:
            self._folder.mkdir(mode=0o700)
        except OSError as error:
            raise SinkError(f"cannot make {self._folder}: {error.strerror or error}") from error
        self._recording.open(info)

    def present(self, before: Image, after: Frame, late: bool) -> None:
        self._recording.present(before, after, late)

    def close(self) -> None:
        self._recording.close()
        path, self._recording.recorded = self._recording.recorded, None
        if path is not None:
            try:
                self._send(path)
            except SinkError as error:
                raise SinkError(f"{error}; the recording is {path}") from error
            path.unlink()
        self._leave()

    def abandon(self) -> None:
        self._recording.abandon()
        self._leave()

    def _leave(self) -> None:
        """Remove the folder, unless it holds something: what was cut off can be recovered."""
        if not self._bytes():
            shutil.rmtree(self._folder, ignore_errors=True)

    @abstractmethod
    def _send(self, path: Path) -> None:
        """Send a whole file.

        Raises:
            SinkError: the archive does not answer, or refuses the file.
        """

    def _bytes(self) -> int:
        return sum(path.stat().st_size for path in self._folder.glob("*")) if self._folder.is_dir() else 0

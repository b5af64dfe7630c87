"""A recording into a DICOM archive (PACS) by C-STORE, PS3.4 annex B."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from edgerecon.core.errors import DependencyError, SinkError, UsageError, first_line
from edgerecon.stream.sinks.base import Sink
from edgerecon.stream.sinks.dicom_upload import ANSWER_S, OPTIONS, DicomUpload
from edgerecon.stream.sinks.kind import SinkKind
from edgerecon.stream.sinks.web.address import LOOPBACK
from edgerecon.stream.sources.query import Query
from edgerecon.stream.uri import split_uri

if TYPE_CHECKING:
    from pynetdicom.association import Association

TITLE = "EDGERECON"
"""Our application entity title."""
_LONGEST_TITLE = 16


class CStoreSink(DicomUpload):
    """Sends the recording to an archive, as application entity EDGERECON.

    Args:
        place: dicom://HOST:PORT/TITLE, the title being that of the archive. query: see ``DicomSink``.

    Raises:
        UsageError: no such address, or see ``DicomSink``. DependencyError: pynetdicom is absent.
    """

    def __init__(self, place: str, query: Query) -> None:
        parts = split_uri(place)
        title = parts.path.strip("/")
        if not parts.hostname or parts.port is None or not 0 < len(title) <= _LONGEST_TITLE:
            raise UsageError(f"'{place}' names no archive: give dicom://HOST:PORT/TITLE, a title of 16 letters at most")
        if find_spec("pynetdicom") is None:
            raise DependencyError("pynetdicom", "pacs")
        self._host, self._port, self._title = parts.hostname, parts.port, title
        exposed = "" if self._host in LOOPBACK else "pictures"
        super().__init__(f"dicom://{self._host}:{self._port}/{title}", query, exposed)

    def _send(self, path: Path) -> None:
        from pydicom import dcmread
        from pynetdicom import AE

        dataset = dcmread(path)
        entity = AE(ae_title=TITLE)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = ANSWER_S
        entity.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
        try:
            association = entity.associate(self._host, self._port, ae_title=self._title)
        except OSError as error:
            raise SinkError(f"{self.name} does not answer: {first_line(error)}: correct the address") from error
        if not association.is_established:
            raise SinkError(f"{self.name} {_refusal(association, dataset.SOPClassUID.name)}")
        try:
            status = association.send_c_store(dataset)
        finally:
            association.release()
        if "Status" not in status:
            raise SinkError(f"{self.name} gave no answer to the recording")
        if status.Status != 0:
            why = status.get("ErrorComment") or f"status {status.Status:04X}"
            raise SinkError(f"{self.name} refused the recording: {why}")


def _refusal(association: Association, kind: str) -> str:
    """Why there is no association, and what to do. ``kind``: of object that it was asked for."""
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None:
        return f"refused the association: {answer.reason_str}: correct the title, or register {TITLE} in the archive"
    if association.rejected_contexts:
        return f"takes no {kind}: allow it in the archive, or send  ?kind=secondary"
    return "does not answer: start the archive, or correct host and port"


def _open(place: str, query: Query) -> Sink:
    return CStoreSink(place, query)


SINK = SinkKind(
    name="DICOM archive",
    title="a DICOM archive",
    schemes=("dicom",),
    addresses=("dicom://HOST:PORT/TITLE",),
    options=OPTIONS,
    records=True,
    open=_open,
)

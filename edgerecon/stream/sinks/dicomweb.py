"""A recording into a DICOMweb archive (Orthanc, dcm4chee, a cloud's): STOW-RS, PS3.18 section 10.5."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from edgerecon.core.errors import SinkError, UsageError, first_line
from edgerecon.stream.sinks.base import Sink
from edgerecon.stream.sinks.dicom_upload import ANSWER_S, OPTIONS, DicomUpload
from edgerecon.stream.sinks.kind import SinkKind
from edgerecon.stream.sinks.web.address import LOOPBACK
from edgerecon.stream.sources.query import Query
from edgerecon.stream.uri import split_uri

_PIECE = 1 << 20
_FAILED, _REASON = "00081198", "00081197"
"""Failed SOP Sequence and Failure Reason, as DICOM JSON names them."""


class DicomWebSink(DicomUpload):
    """Posts the recording to BASE/studies, piece by piece, whatever its size.

    Args:
        place: dicomweb://[USER:PASSWORD@]HOST[:PORT]/BASE, dicomwebs:// for TLS.
        query: ``token``: sent as a bearer token; the others see ``DicomSink``.

    Raises:
        UsageError: no such address, or see ``DicomSink``.
    """

    def __init__(self, place: str, query: Query) -> None:
        parts = split_uri(place)
        if not parts.hostname:
            raise UsageError(f"'{place}' names no archive: give dicomweb://HOST[:PORT]/BASE")
        self._host, self._port, self._secure = parts.hostname, parts.port, parts.scheme == "dicomwebs"
        self._path = f"{parts.path.rstrip('/')}/studies"
        self._authorization = _authorization(parts.username, parts.password, query.get("token"))
        where = f"{self._host}:{self._port}" if self._port else self._host
        exposed = "" if self._secure or self._host in LOOPBACK else "pictures and passwords"
        super().__init__(f"{parts.scheme}://{where}{self._path}", query, exposed)

    def _send(self, path: Path) -> None:
        boundary = uuid4().hex
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Content-Length": str(len(head) + path.stat().st_size + len(tail)),
            "Accept": "application/dicom+json",
            **self._authorization,
        }
        try:
            with closing(self._connect()) as connection:
                connection.request("POST", self._path, _pieces(head, path, tail), headers)
                _refuse_refusal(self.name, connection.getresponse())
        except (OSError, HTTPException) as error:
            raise SinkError(f"{self.name} does not answer: {first_line(error)}") from error

    def _connect(self) -> HTTPConnection:
        if self._secure:
            return HTTPSConnection(self._host, self._port, timeout=ANSWER_S, context=ssl.create_default_context())
        return HTTPConnection(self._host, self._port, timeout=ANSWER_S)


def _authorization(user: str | None, password: str | None, token: str | None) -> dict[str, str]:
    if token is not None:
        return {"Authorization": f"Bearer {token}"}
    if user is None:
        return {}
    text = f"{unquote(user)}:{unquote(password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


def _pieces(head: bytes, path: Path, tail: bytes) -> Iterator[bytes]:
    yield head
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
    yield tail


def _refuse_refusal(name: str, response: HTTPResponse) -> None:
    """Raises SinkError unless the archive says that it has stored the file."""
    content = response.read(_PIECE)
    failed = _failures(content)
    if response.status == 200 and not failed:
        return
    why = f"failure reason {', '.join(failed)}" if failed else response.reason
    raise SinkError(f"{name} refused the recording: {response.status} {why}")


def _failures(content: bytes) -> list[str]:
    """Failure reasons (PS3.18 table 10.5.3-1) as hexadecimal numbers; none in an answer that is no DICOM JSON."""
    try:
        answer: Any = json.loads(content)
        found = answer[0] if isinstance(answer, list) else answer
        failed = found.get(_FAILED, {}).get("Value", [])
        return [f"{one.get(_REASON, {}).get('Value', [0])[0]:04X}" for one in failed]
    except (ValueError, TypeError, AttributeError, IndexError):
        return []


def _open(place: str, query: Query) -> Sink:
    return DicomWebSink(place, query)


SINK = SinkKind(
    name="DICOMweb",
    title="a DICOMweb archive",
    schemes=("dicomweb", "dicomwebs"),
    addresses=("dicomweb://HOST[:PORT]/BASE",),
    options=("token", *OPTIONS),
    records=True,
    open=_open,
)

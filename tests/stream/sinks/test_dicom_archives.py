"""Recordings into archives, against servers in this process: pynetdicom's, and one that reads STOW-RS by the book."""

from __future__ import annotations

import email
import io
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from edgerecon.core.errors import SinkError, UsageError
from edgerecon.stream.conversion import is_conversion
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sources import open_source
from tests.examples.test_examples import load


@dataclass
class Archive:
    """An archive that runs.

    Attributes:
        uri: of its sink. refusing: of one that refuses, by what it answers.
        stored: what it got. headers: of the requests, where it has some.
    """

    uri: str
    refuse: Any
    stored: list[Any] = field(default_factory=list)
    headers: list[Any] = field(default_factory=list)


@pytest.fixture
def pacs() -> Iterator[Archive]:
    pynetdicom = pytest.importorskip("pynetdicom", reason="pip install pynetdicom")
    answer = [0x0000]
    found = Archive("", lambda: answer.__setitem__(0, 0xA700))  # out of resources

    def store(event: Any) -> int:
        found.stored.append(event.dataset)
        return answer[0]

    entity = pynetdicom.AE(ae_title="ARCHIVE")
    entity.supported_contexts = pynetdicom.AllStoragePresentationContexts
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(pynetdicom.evt.EVT_C_STORE, store)])
    found.uri = f"dicom://127.0.0.1:{server.server_address[1]}/ARCHIVE"
    yield found
    server.shutdown()


@pytest.fixture
def dicomweb() -> Iterator[Archive]:
    refused = {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0xA700]}}]}}
    answer: list[Any] = [200, {}]
    found = Archive("", lambda: answer.__setitem__(slice(2), [202, refused]))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            message = email.message_from_bytes(
                b"Content-Type: " + self.headers["Content-Type"].encode() + b"\n\n" + body
            )
            parts = message.get_payload()
            assert self.path == "/dicom-web/studies" and [part.get_content_type() for part in parts] == [
                "application/dicom"
            ]
            found.headers.append(dict(self.headers))
            found.stored.append(dcmread(io.BytesIO(parts[0].get_payload(decode=True))))
            content = json.dumps(answer[1]).encode()
            self.send_response(answer[0])
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    found.uri = f"dicomweb://127.0.0.1:{server.server_port}/dicom-web"
    yield found
    server.shutdown()
    thread.join(60)
    server.server_close()


@pytest.fixture(params=["pacs", "dicomweb"])
def archive(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "uploads"))
    (tmp_path / "uploads").mkdir()
    return request.getfixturevalue(request.param)


@pytest.fixture
def clip(tmp_path: Path) -> str:
    np.save(tmp_path / "clip.npy", np.random.default_rng(1).integers(0, 256, (3, 24, 32), np.uint8))
    return str(tmp_path / "clip.npy")


def sent(clip: str, uri: str) -> str | None:
    return stream(open_source(clip), None, [open_sink(uri)], policy="every", pace=False).error


def test_archive_gets_every_frame_and_nothing_stays(archive: Archive, clip: str, tmp_path: Path) -> None:
    assert sent(clip, archive.uri) is None
    (found,) = archive.stored
    assert np.array_equal(np.frombuffer(found.PixelData, np.uint8), np.load(clip).ravel())
    assert found.SOPClassUID.name == "Ultrasound Multi-frame Image Storage"
    assert list((tmp_path / "uploads").iterdir()) == []


def test_refused_recording_stays_and_is_named(archive: Archive, clip: str, tmp_path: Path) -> None:
    archive.refuse()
    error = sent(clip, archive.uri)
    (kept,) = (tmp_path / "uploads").rglob("recording.dcm")
    assert error is not None and "refused the recording" in error and "A700" in error and str(kept) in error
    assert dcmread(kept).NumberOfFrames == 3


@pytest.mark.parametrize("uri", ["dicom://127.0.0.1:1/ARCHIVE", "dicomweb://127.0.0.1:1/dicom-web"])
def test_absent_archive_is_a_line(uri: str, clip: str) -> None:
    error = sent(clip, uri)
    assert error is not None and "does not answer" in error and "\n" not in error


@pytest.mark.parametrize(
    ("title", "kind", "said"),
    [
        ("OTHER", "ultrasound", "refused the association: Called AE title not recognised: correct the title"),
        ("ARCHIVE", "secondary", "takes no Multi-frame Grayscale Byte Secondary Capture Image Storage"),
    ],
)
def test_refused_association_says_why(title: str, kind: str, said: str, clip: str) -> None:
    pynetdicom = pytest.importorskip("pynetdicom", reason="pip install pynetdicom")
    entity = pynetdicom.AE(ae_title="ARCHIVE")
    entity.require_called_aet = True
    entity.add_supported_context("1.2.840.10008.5.1.4.1.1.3.1")  # Ultrasound Multi-frame Image Storage
    server = entity.start_server(("127.0.0.1", 0), block=False)
    error = sent(clip, f"dicom://127.0.0.1:{server.server_address[1]}/{title}?kind={kind}")
    server.shutdown()
    assert error is not None and said in error and "the recording is " in error


def test_archive_whose_name_nobody_knows_leaves_the_recording(clip: str) -> None:
    pytest.importorskip("pynetdicom", reason="pip install pynetdicom")
    error = sent(clip, "dicom://archive.invalid:104/ARCHIVE")
    assert error is not None and "does not answer" in error and "the recording is " in error


def test_password_and_token_are_sent_and_never_shown(dicomweb: Archive, clip: str) -> None:
    sink = open_sink(dicomweb.uri.replace("//", "//nurse:se%40cret@"))
    stream(open_source(clip), None, [sink], policy="every", pace=False)
    sent(clip, f"{dicomweb.uri}?token=abc")
    assert [one["Authorization"] for one in dicomweb.headers] == ["Basic bnVyc2U6c2VAY3JldA==", "Bearer abc"]
    assert "cret" not in sink.name


def test_recording_into_an_archive_keeps_every_frame(clip: str) -> None:
    assert is_conversion(open_source(clip), ["dicomweb://host/base"]) and not is_conversion(open_source(clip), ["null"])


@pytest.mark.parametrize(
    "uri", ["dicom://host/TITLE", "dicom://host:1", "dicom://host:1/A-TITLE-THAT-IS-LONG", "dicomweb:///x"]
)
def test_address_that_names_no_archive_is_refused(uri: str) -> None:
    with pytest.raises(UsageError, match="names no archive"):
        open_sink(uri)


def test_options_of_the_file_are_checked_and_leave_no_folder(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="kind is ultrasound or secondary"):
        open_sink(f"{archive.uri}?kind=other")
    with pytest.raises(SinkError, match="cannot refer to"):
        open_sink(f"{archive.uri}?source={tmp_path}/absent.dcm")
    assert list((tmp_path / "uploads").iterdir()) == []


def test_recording_that_was_cut_off_stays(archive: Archive, clip: str, tmp_path: Path) -> None:
    sink: Any = open_sink(archive.uri)
    write, frames = sink._recording._write, []

    def one_frame_only(*words: Any) -> None:
        frames.append(words)
        if len(frames) > 1:
            raise OSError(28, "No space left on device")
        write(*words)

    sink._recording._write = one_frame_only
    report = stream(open_source(clip), None, [sink], policy="every", pace=False)
    assert "No space left on device" in str(report.error) and archive.stored == []
    assert [path.suffix for path in (tmp_path / "uploads").rglob(".recording.dcm.*")].count(".part") == 1


def test_unencrypted_way_is_said(caplog: pytest.LogCaptureFixture) -> None:
    for uri in ("dicom://192.0.2.1:1/ARCHIVE", "dicomweb://192.0.2.1/base", "dicomwebs://192.0.2.1/base"):
        open_sink(uri)
    assert [record.getMessage().partition(":/")[0] for record in caplog.records] == ["dicom", "dicomweb"]
    assert all("is not encrypted" in record.getMessage() for record in caplog.records)


def test_example_sends_a_recording(dicomweb: Archive, clip: str, capsys: pytest.CaptureFixture[str]) -> None:
    load("send_to_pacs").main(dicomweb.uri, clip)
    assert "sent 3 frames" in capsys.readouterr().out and len(dicomweb.stored) == 1

"""Every kind of sink, with a close that does not return: the stream ends, says so, and the others are finished."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sinks.base import Sink
from edgerecon.stream.sinks.files import file_sink
from edgerecon.stream.sinks.kind import sink_kinds
from tests.support.stream_fakes import ListSource, ramp, until

PLACES = {
    "black box": "black-box:{folder}/box",
    "DICOM archive": "dicom://127.0.0.1:9/ARCHIVE",
    "DICOMweb": "dicomweb://127.0.0.1:9/base",
    "OpenIGTLink": "igtl://127.0.0.1:0",
    "OpenTelemetry": "otlp://127.0.0.1:9",
    "shared memory": "shm://edgerecon-hung-close",
    "metrics": "metrics:0",
    "viewer": "viewer:0",
    "null": "null",
}
NEEDS = {
    "DICOM archive": "pynetdicom",
    "DICOM": "pydicom",
    "HDF5": "h5py",
    "MP4": "av",
    "Zarr": "zarr",
    "viewer": "starlette",
    "metrics": "prometheus_client",
    "OpenTelemetry": "opentelemetry.sdk",
}


class HangingClose:
    """A sink whose close waits for an answer. It alone may take no longer than a second."""

    close_s = 1.0

    def __init__(self, sink: Sink, answer: threading.Event) -> None:
        self._sink, self._answer = sink, answer
        self.closing, self.closed = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sink, name)

    def close(self) -> None:
        self.closing.set()
        self._answer.wait(300)
        try:
            self._sink.close()
        finally:
            self.closed.set()


def place_of(name: str, folder: Path) -> str:
    if name in PLACES:
        return PLACES[name].format(folder=folder)
    return str(folder / f"out{sink_kinds()[name].endings[0]}")


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """What closes wait for; it comes when the test is over."""
    for name in ("loop.fanout", "loop.present", "sinks.files.file_sink"):
        monkeypatch.setattr(f"edgerecon.stream.{name}.CLOSE_S", 300.0)  # of a machine that does much else
    monkeypatch.setattr("edgerecon.stream.sinks.dicom_upload.ANSWER_S", 0.0)
    monkeypatch.setattr("edgerecon.stream.sinks.otlp.TIMEOUT_S", 0.1)  # nobody answers there
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize("name", [*sink_kinds()])
def test_a_close_that_hangs_is_given_up(name: str, tmp_path: Path, answer: threading.Event) -> None:
    if name in NEEDS and find_spec(NEEDS[name].partition(".")[0]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    hung, beside = HangingClose(open_sink(place_of(name, tmp_path)), answer), open_sink(str(tmp_path / "beside.npz"))
    report = stream(ListSource(ramp(4, (32, 48))), None, [hung, beside], policy="every", pace=False)
    assert hung.closing.is_set() and not hung.closed.is_set()
    assert report.counts["sinks_lost"] == 1 and report.error is not None
    assert report.error.startswith(f"{hung.name} was not closed within ") and report.error.endswith("was given up")
    assert report.frames_in == report.presented == 4
    assert len(np.load(tmp_path / "beside.npz")["frames"]) == 4, "what lies beside it is whole"
    answer.set()
    assert hung.closed.wait(300), "its thread comes back"


@pytest.mark.parametrize("ending", [".npz", ".h5", ".zarr", ".mp4", ".mha", ".nrrd", ".dcm"])
def test_a_recording_whose_end_hangs_takes_no_final_name(
    ending: str, tmp_path: Path, answer: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_sink, "CLOSE_S", 1.0)
    sink = open_sink(str(tmp_path / f"out{ending}"))
    assert isinstance(sink, file_sink.FileSink)
    finish, came_back = sink._finish, threading.Event()

    def hang() -> object:
        answer.wait(300)
        try:
            return finish()
        finally:
            came_back.set()

    monkeypatch.setattr(sink, "_finish", hang)
    report = stream(ListSource(ramp(4, (32, 48))), None, [sink], policy="every", pace=False)
    assert report.error is not None and "given up" in report.error
    assert not (tmp_path / f"out{ending}").exists()
    answer.set()
    assert came_back.wait(300)
    until(lambda: not [one for one in threading.enumerate() if one.name.startswith("close ")])
    assert not (tmp_path / f"out{ending}").exists(), "nobody waits for it any more"

"""Every kind of sink, with a close that does not return: the stream ends, says so, and the others are finished."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sinks import open_sink
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
CLOSE_S = 1.0


def place_of(name: str, folder: Path) -> str:
    if name in PLACES:
        return PLACES[name].format(folder=folder)
    return str(folder / f"out{sink_kinds()[name].endings[0]}")


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """What closes wait for; it comes when the test is over."""
    for name in ("loop.fanout", "loop.present", "sinks.files.file_sink"):
        monkeypatch.setattr(f"edgerecon.stream.{name}.CLOSE_S", CLOSE_S)
    monkeypatch.setattr("edgerecon.stream.sinks.dicom_upload.ANSWER_S", 0.0)
    monkeypatch.setattr("edgerecon.stream.sinks.otlp.TIMEOUT_S", 0.1)  # nobody answers there
    monkeypatch.setattr("edgerecon.stream.sinks.otlp.OtlpSink.close_s", CLOSE_S)
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize("name", [*sink_kinds()])
def test_a_close_that_hangs_is_given_up(name: str, tmp_path: Path, answer: threading.Event) -> None:
    if name in NEEDS and find_spec(NEEDS[name].partition(".")[0]) is None:
        pytest.skip(f"{NEEDS[name]} is not installed")
    hung, beside = open_sink(place_of(name, tmp_path)), open_sink(str(tmp_path / "beside.npz"))
    close = hung.close
    closing, closed = threading.Event(), threading.Event()

    def hang() -> None:
        closing.set()
        answer.wait(300)
        try:
            close()
        finally:
            closed.set()

    hung.close = hang  # type: ignore[method-assign]
    report = stream(ListSource(ramp(4, (32, 48))), None, [hung, beside], policy="every", pace=False)
    assert closing.is_set() and not closed.is_set()
    assert report.counts["sinks_lost"] == 1 and report.error is not None
    assert report.error.startswith(f"{hung.name} was not closed within ") and report.error.endswith("was given up")
    assert report.frames_in == report.presented == 4
    assert len(np.load(tmp_path / "beside.npz")["frames"]) == 4, "what lies beside it is whole"
    answer.set()
    assert closed.wait(300), "its thread comes back"


@pytest.mark.parametrize("ending", [".npz", ".h5", ".zarr", ".mp4", ".mha", ".nrrd", ".dcm"])
def test_a_recording_whose_end_hangs_takes_no_final_name(
    ending: str, tmp_path: Path, answer: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
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

"""What SECURITY.md promises of the whole package: no pickle, and nothing of the patient in what comes out."""

from __future__ import annotations

import ast
import json
import logging
import os
import re
import socket
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian
from websockets.sync.client import connect

import edgerecon
from edgerecon.core.frame import Frame, Image
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.loop.trace import FileTrace
from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sinks.igtl import IgtlServerSink
from edgerecon.stream.sinks.metrics.metrics import MetricsSink
from edgerecon.stream.sinks.viewer import ViewerSink
from edgerecon.stream.sinks.web.address import Address
from edgerecon.stream.sources import open_source

PACKAGE = Path(edgerecon.__file__).parent

# ---- no pickle ----------------------------------------------------------------------------------------------------

FORBIDDEN = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
WORTH_PARSING = re.compile("pickle|marshal|shelve|dill|joblib|yaml|torch.load|eval|exec|__import__")
HARMLESS = {"UnpicklingError", "PicklingError"}
"""Names of exceptions, which are caught and load nothing."""


def dangers(source: str) -> list[str]:
    """Every way in which a text of Python would run what a file says."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FORBIDDEN:
            found.append(f"{node.lineno}: from {node.module}")
        elif isinstance(node, ast.Import):
            found += [f"{node.lineno}: as {one.asname}" for one in node.names if one.name in FORBIDDEN and one.asname]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in FORBIDDEN and node.attr not in HARMLESS:
                found.append(f"{node.lineno}: {node.value.id}.{node.attr}")
            if (node.value.id, node.attr) == ("yaml", "load"):
                found.append(f"{node.lineno}: yaml.load")
        elif isinstance(node, ast.Call):
            found += _calls(node)
    return found


def _calls(node: ast.Call) -> list[str]:
    values = {word.arg: getattr(word.value, "value", "?") for word in node.keywords}
    name = ast.unparse(node.func)
    found = []
    if values.get("allow_pickle", False) is not False:
        found.append(f"{node.lineno}: {name}(allow_pickle)")
    if name == "torch.load" and values.get("weights_only") is not True:
        found.append(f"{node.lineno}: torch.load without weights_only=True")
    if name in ("eval", "exec", "__import__"):
        found.append(f"{node.lineno}: {name}")
    return found


@pytest.mark.parametrize(
    "line",
    [
        "import pickle\npickle.loads(b'')",
        "from pickle import load",
        "import marshal as m",
        "import yaml\nyaml.load(x)",
        "np.load(x, allow_pickle=True)",
        "np.load(x, allow_pickle=flag)",
        "torch.load(x)",
        "eval('1')",
    ],
)
def test_danger_is_recognised(line: str) -> None:
    assert dangers(line)


def test_nothing_in_the_package_runs_what_a_file_says() -> None:
    texts = {file.relative_to(PACKAGE): file.read_text() for file in PACKAGE.rglob("*.py")}
    suspects = {file: text for file, text in texts.items() if WORTH_PARSING.search(text)}
    assert len(texts) > 200 and suspects
    assert [f"{file}:{what}" for file, text in suspects.items() for what in dangers(text)] == []


# ---- every promise has its test ------------------------------------------------------------------------------------

ROOT = Path(__file__).resolve().parents[2]


def promises() -> list[tuple[str, str]]:
    """(promise, tested by) of each row of a table in SECURITY.md."""
    rows = [
        line.strip("| ").split(" | ") for line in (ROOT / "SECURITY.md").read_text().splitlines() if line[:1] == "|"
    ]
    return [(" | ".join(row[:-1]), row[-1]) for row in rows if len(row) > 1 and row[0] != "promise"]


@pytest.mark.parametrize(("promise", "tested"), promises(), ids=lambda text: text[:40])
def test_a_promise_names_tests_that_are_there(promise: str, tested: str) -> None:
    for part in tested.split(";"):
        if "by hand" in part:
            continue
        file, words = re.fullmatch(r"\s*`(tests/[\w/]+\.py)`: ([\w ,]+)", part).groups()  # type: ignore[union-attr]
        names = re.findall(r"^ *def (test_\w+)", (ROOT / file).read_text(), re.MULTILINE)
        for word in words.split(","):
            wanted = word.strip().replace(" ", "_")
            assert any(wanted in name for name in names), f"no test of {file} is named after '{word.strip()}'"


# ---- nothing of the patient ---------------------------------------------------------------------------------------

CANARY = "CANARYBIRD"
PATIENT = (
    "PatientName",
    "PatientID",
    "OtherPatientNames",
    "PatientAddress",
    "PatientComments",
    "AccessionNumber",
    "InstitutionName",
    "ReferringPhysicianName",
    "OperatorsName",
    "StudyDescription",
    "SeriesDescription",
    "StudyID",
    "ImageComments",
    "DeviceSerialNumber",
    "StationName",
    "ProtocolName",
    "AdditionalPatientHistory",
)


def canary(path: Path) -> Path:
    """A cine whose every element about the patient sings."""
    pixels = np.random.default_rng(5).integers(0, 256, (6, 24, 32), np.uint8)
    header = pydicom.Dataset()
    header.file_meta = pydicom.dataset.FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.3.1"
    header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    for name in PATIENT:
        setattr(header, name, f"{CANARY}^{name[:5]}")
    header.PatientBirthDate = "19470708"
    header.Modality, header.FrameTime, header.NumberOfFrames = "US", "5", 6
    header.Rows, header.Columns, header.SamplesPerPixel = 24, 32, 1
    header.PhotometricInterpretation = "MONOCHROME2"
    header.BitsAllocated = header.BitsStored = 8
    header.HighBit, header.PixelRepresentation = 7, 0
    header.PixelData = pixels.tobytes()
    header["PixelData"].VR = "OB"
    header.save_as(path, enforce_file_format=True)
    return path


class Listener:
    """A sink that reads what the sinks without files give out, as it is after the third frame."""

    name = "listener"

    def __init__(self, viewer: ViewerSink, metrics: MetricsSink, igtl: IgtlServerSink, ring: Path) -> None:
        self.viewer, self.metrics, self.igtl, self.ring = viewer, metrics, igtl, ring
        self.heard = b""

    def open(self, info: StreamInfo) -> None:
        self.tap = socket.create_connection(("127.0.0.1", self.igtl.port), timeout=20)
        patience = time.monotonic() + 120
        while not self.igtl.clients and time.monotonic() < patience:
            time.sleep(0.005)

    def present(self, before: Image, after: Frame, late: bool) -> None:
        if after.sequence != 3:
            return
        self.heard += self.tap.recv(65536) + self.ring.read_bytes()
        self.tap.close()
        page, numbers = f"127.0.0.1:{self.viewer.port}", f"http://127.0.0.1:{self.metrics.port}"
        with connect(f"ws://{page}/ws?stream=a.dcm", compression=None) as looking:
            self.heard += str(looking.recv(timeout=20)).encode()
            looking.send("frame")
            while isinstance(message := looking.recv(timeout=20), str):
                self.heard += message.encode()
            self.heard += message
        for address in (f"http://{page}/streams", f"{numbers}/metrics", f"{numbers}/healthz"):
            self.heard += httpx.get(address, timeout=120).content

    def close(self) -> None: ...


class Failing:
    """A sink that breaks, so that its failure is told."""

    name = "failing"

    def open(self, info: StreamInfo) -> None: ...

    def present(self, before: Image, after: Frame, late: bool) -> None:
        raise OSError("it broke")

    def close(self) -> None: ...


def test_patient_tags_reach_no_log_metric_trace_viewer_or_file(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for limit in ("present._HUNG_S", "present.CLOSE_S", "fanout.CLOSE_S"):  # the listener may take its time
        monkeypatch.setattr(f"edgerecon.stream.loop.{limit}", 600.0)
    for package in ("prometheus_client", "pyigtl", "h5py", "zarr", "av"):
        pytest.importorskip(package, reason=f"{package}, which one of the sinks needs, is not installed")
    if not Path("/dev/shm").is_dir():
        pytest.skip("the ring in shared memory needs Linux")
    caplog.set_level(logging.DEBUG)
    recording, out = canary(tmp_path / "a.dcm"), tmp_path / "out"
    assert CANARY.encode() in recording.read_bytes()
    out.mkdir()
    files = [open_sink(f"{out}/{name}") for name in ("a.mp4", "a.npz", "a.h5", "a.zarr", "a.dcm")]
    viewer, metrics = ViewerSink(Address("127.0.0.1", 0)), MetricsSink(Address("127.0.0.1", 0))
    ring = Path("/dev/shm") / f"edgerecon-test-{os.getpid()}"
    igtl, shm = IgtlServerSink(), open_sink(f"shm://{ring.name}")
    listener = Listener(viewer, metrics, igtl, ring)
    source, trace = open_source(str(recording)), FileTrace(out / "trace.json")
    sinks = [*files, open_sink(f"black-box:{out}/box"), viewer, metrics, igtl, shm, listener, Failing()]
    report = stream(source, None, sinks, policy="every", pace=False, trace=trace, stop=threading.Event())
    trace.close()
    assert report.presented == 6 and report.error is not None and "failing" in report.error
    report.write(out / "report.json")
    for heard in (b"a.dcm", b"edgerecon_frames_total", b"IMAGE"):
        assert heard in listener.heard
    told = caplog.text + "".join(capfd.readouterr()) + report.error + source.name
    written = [file for file in out.rglob("*") if file.is_file()]
    assert len({file.suffix for file in written}) >= 5 and json.loads((out / "report.json").read_text())
    for where, content in [("viewer, metrics, OpenIGTLink, ring", listener.heard), ("log", told.encode())] + [
        (file.name, file.read_bytes()) for file in written
    ]:
        assert CANARY.encode() not in content and b"19470708" not in content, where
    names = " ".join(str(file) for file in written)
    assert CANARY not in names

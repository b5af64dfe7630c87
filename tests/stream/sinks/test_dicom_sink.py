"""DICOM recordings: read back by pydicom, and without an error for dciodvfy, whatever they hold."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest

from edgerecon.core.errors import SinkError, UsageError
from edgerecon.core.frame import Frame, Status
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sinks.base import StreamInfo
from edgerecon.stream.sources import open_source
from edgerecon.stream.sources.base import Capture
from tests.support.stream_fakes import FakeEngine, KeepSink, ListSource, ramp

FRAMES = np.random.default_rng(5).integers(0, 256, (7, 9, 6), np.uint8)


def third_fails(call: int) -> None:
    if call == 2:
        raise RuntimeError("no")


def play(items, *uris, engine=None, **options):
    options = {"policy": "every", "pace": False} | options
    return stream(ListSource(items, 0.04), engine, [open_sink(str(uri)) for uri in uris], **options)


def write(path: Path, query: str, times_ns: list[int], spacing_mm, live: bool, lossy: str | None) -> pydicom.Dataset:
    sink = open_sink(f"{path}?{query}")
    sink.open(StreamInfo("probe", "none", "none", "fp32", 0.04, 40.0, None, Counters(), live, lossy))
    for number, time_ns in enumerate(times_ns):
        pixels = np.full((7, 5), number / 10, np.float32)
        status = Status.RAW if number == 2 else Status.OK
        sink.present(pixels, Frame(pixels, number, time_ns, spacing_mm, status), False)
    sink.close()
    return pydicom.dcmread(path)


PACES = {"one frame": [0], "a rate": [n * 40_000_000 for n in range(4)], "pauses": [0, 90_000_000, 130_000_000, 10**9]}


NEEDS_DCIODVFY = pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy is not installed: apt-get install dicom3tools"
)


def what_dciodvfy_says(path: Path) -> str:
    checked = subprocess.run(["dciodvfy", path], capture_output=True, text=True, timeout=120)
    return checked.stdout + checked.stderr


@NEEDS_DCIODVFY
@pytest.mark.parametrize("whose", ["", "&source={source}", "&source={source}&patient=keep"])
@pytest.mark.parametrize("kind", ["ultrasound", "secondary"])
def test_dciodvfy_finds_no_error_in_any_variant(tmp_path: Path, echo_cine: Path, kind: str, whose: str) -> None:
    path = tmp_path / "out.dcm"
    for (pace, times_ns), spacing_mm, lossy in itertools.product(
        PACES.items(), (None, (0.2, 0.1)), (None, "ISO_14496_10")
    ):
        write(path, f"kind={kind}{whose.format(source=echo_cine)}", times_ns, spacing_mm, True, lossy)
        said = what_dciodvfy_says(path)
        assert "Error" not in said, f"{pace}, {spacing_mm}, {lossy}: {said}"


def test_dicom_states_the_rate_and_spacing_that_came(tmp_path: Path) -> None:
    even = write(tmp_path / "a.dcm", "", [n * 100_000_000 for n in range(5)], (0.2, 0.1), True, None)
    assert even.FrameTime == 100 and even.CineRate == 10
    (region,) = even.SequenceOfUltrasoundRegions
    assert (region.PhysicalDeltaX, region.PhysicalDeltaY) == pytest.approx((0.01, 0.02))
    uneven = write(tmp_path / "b.dcm", "", [0, 100_000_000, 190_000_000, 300_000_000], None, True, None)
    assert list(uneven.FrameTimeVector) == [0, 100, 90, 110] and "FrameTime" not in uneven
    assert uneven.CineRate == 10 and "SequenceOfUltrasoundRegions" not in uneven


@pytest.fixture
def long_cine(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """12 000 frames of 35 pixels at uneven times, and these in s."""
    steps_ms = np.random.default_rng(3).uniform(20, 60, 12_000)
    times_ns = np.rint((np.cumsum(steps_ms) - steps_ms[0]) * 1e6).astype(int)
    write(tmp_path / "long.dcm", "", times_ns.tolist(), None, True, None)
    return tmp_path / "long.dcm", times_ns / 1e9


def test_dicom_states_the_times_of_however_many_frames(long_cine: tuple[Path, np.ndarray]) -> None:
    path, times_s = long_cine
    found = pydicom.dcmread(path)
    assert found.file_meta.TransferSyntaxUID == pydicom.uid.ImplicitVRLittleEndian and "FrameTime" not in found
    assert np.cumsum(np.array(found.FrameTimeVector, float)) / 1e3 == pytest.approx(times_s, abs=1e-6)
    assert found.pixel_array.shape == (12_000, 7, 5) and found.pixel_array[5, 0, 0] == 128
    source = open_source(str(path))
    assert source.length == 12_000
    read = [capture.time_s for capture in itertools.islice(source.frames(), 200)]
    assert read == pytest.approx(times_s[:200].tolist(), abs=1e-6)


@NEEDS_DCIODVFY
def test_dciodvfy_finds_no_error_in_a_long_cine(long_cine: tuple[Path, np.ndarray]) -> None:
    assert "Error" not in what_dciodvfy_says(long_cine[0])


def test_dicom_says_that_its_source_was_lossy(tmp_path: Path) -> None:
    found = write(tmp_path / "a.dcm", "", [0, 1], None, True, "ISO_14496_10")
    assert (found.LossyImageCompression, found.LossyImageCompressionMethod) == ("01", "ISO_14496_10")
    assert write(tmp_path / "a.dcm", "", [0, 1], None, True, None).LossyImageCompression == "00"


def test_patient_is_removed_only_where_no_text_is_burnt_in(tmp_path: Path, echo_cine: Path) -> None:
    source = pydicom.dcmread(echo_cine, stop_before_pixels=True)
    for burnt_in, removed in ((None, "NO"), ("YES", "NO"), ("NO", "YES")):
        source.BurnedInAnnotation = burnt_in
        source.save_as(tmp_path / "in.dcm")
        found = write(tmp_path / "out.dcm", f"source={tmp_path / 'in.dcm'}", [0, 1], None, False, None)
        assert (found.PatientIdentityRemoved, found.BurnedInAnnotation) == (removed, burnt_in or "YES")
        assert ("DeidentificationMethod" in found) == (removed == "YES")


def test_dicom_is_read_back_by_pydicom_and_by_us(tmp_path: Path) -> None:
    path = tmp_path / "out.dcm"
    play([Capture(frame) for frame in FRAMES], path, engine=FakeEngine(third_fails))
    found = pydicom.dcmread(path)
    expected = np.stack([FRAMES[at] if at == 2 else 255 - FRAMES[at] for at in range(7)])
    np.testing.assert_array_equal(found.pixel_array, expected)
    assert found.SOPClassUID.name == "Ultrasound Multi-frame Image Storage" and found.Modality == "US"
    assert list(found.ImageType) == ["DERIVED", "SECONDARY"] and "fake" in found.DerivationDescription
    assert "1 of 7 frames" in found.ImageComments and found.ImageComments.endswith(": 3")
    assert (found.FrameTime, found.FrameIncrementPointer) == (40, 0x00181063)
    assert (found.PatientName, found.PatientID, found.PatientIdentityRemoved) == ("", "", "NO")
    assert len({found.SOPInstanceUID, found.StudyInstanceUID, found.SeriesInstanceUID}) == 3
    source = open_source(str(path))
    assert (source.period_s, source.length) == (0.04, 7) and source.spacing_mm == pytest.approx((0.2, 0.1))
    np.testing.assert_array_equal([capture.image for capture in source.frames()], expected)
    assert list(tmp_path.iterdir()) == [path]


def test_dicom_keeps_the_patient_only_when_asked(tmp_path: Path, echo_cine: Path) -> None:
    original = pydicom.dcmread(echo_cine, stop_before_pixels=True)
    (anonymous, kept) = tmp_path / "a.dcm", tmp_path / "b.dcm"
    frames = [Capture(FRAMES[0][:7, :5])] * 3  # an odd number of bytes
    play(frames, f"{anonymous}?source={echo_cine}", f"{kept}?source={echo_cine}&patient=keep&kind=secondary")
    found = pydicom.dcmread(anonymous)
    assert found.SourceImageSequence[0].ReferencedSOPInstanceUID == original.SOPInstanceUID
    assert original.StudyInstanceUID != found.StudyInstanceUID and found.LossyImageCompression == "01"
    assert b"PLA" not in anonymous.read_bytes().replace(b"PLACE", b""), "the patient's name is nowhere in the file"
    assert pydicom.dcmread(kept).pixel_array.shape == (3, 7, 5)
    found = pydicom.dcmread(kept)
    assert (found.PatientName, found.StudyInstanceUID) == (original.PatientName, original.StudyInstanceUID)
    assert found.SOPClassUID.name == "Multi-frame Grayscale Byte Secondary Capture Image Storage"
    assert [float(step) for step in found.PixelSpacing] == [0.2, 0.1] and found.PatientIdentityRemoved == "NO"
    assert open_source(str(kept)).spacing_mm == (0.2, 0.1)


def test_dicom_keeps_true_time_over_missing_frames(tmp_path: Path) -> None:
    items = [Capture(frame) if at != 4 else Capture(None, "torn") for at, frame in enumerate(FRAMES)]
    play(items, tmp_path / "out.dcm")
    found = pydicom.dcmread(tmp_path / "out.dcm")
    assert found.FrameIncrementPointer == 0x00181065 and list(found.FrameTimeVector) == [0, 40, 40, 40, 80, 40]
    assert open_source(str(tmp_path / "out.dcm")).period_s == pytest.approx(0.04)


def test_dicom_options_are_checked(tmp_path: Path) -> None:
    for query in ("patient=keep", "patient=maybe", "kind=movie", "colour=yes"):
        with pytest.raises(UsageError):
            open_sink(f"{tmp_path / 'out.dcm'}?{query}")
    (tmp_path / "text").write_text("no")
    for source in ("text", "absent"):
        with pytest.raises(SinkError, match="cannot refer to"):
            open_sink(f"{tmp_path / 'out.dcm'}?source={tmp_path / source}")
    with pytest.raises(UsageError, match="has no option"):
        open_sink("out.mp4?patient=keep")


def test_dicom_beyond_its_four_gigabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgerecon.stream.sinks.files.dicom._MOST_BYTES", 5 * 96)
    sinks = [open_sink(str(tmp_path / "out.dcm")), KeepSink()]
    report = stream(ListSource(ramp(9)), None, sinks, policy="every", pace=False)
    assert report.presented == 9 and report.error is not None and "is full" in report.error
    assert not (tmp_path / "out.dcm").exists() and list(tmp_path.glob(".out.dcm.*.part"))

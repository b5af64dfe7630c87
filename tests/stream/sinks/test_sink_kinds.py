"""Every list of sinks is made from the records of their files and of other packages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.errors import UsageError
from edgerecon.core.frame import Frame, Image
from edgerecon.stream.conversion import is_conversion
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.overwriting import refuse_overwriting
from edgerecon.stream.sinks import SinkKind, StreamInfo, open_sink
from edgerecon.stream.sinks.files.recover import recover
from edgerecon.stream.sinks.kind import kind_of, recording_endings, sink_kinds
from edgerecon.stream.sources import open_source
from tests.support.plug_in import plug_in


class MySink:
    """Writes the number of frames it was shown, times a gain."""

    def __init__(self, place: str, gain: int) -> None:
        self.name, self._gain, self._count = place, gain, 0

    def open(self, info: StreamInfo) -> None: ...

    def present(self, before: Image, after: Frame, late: bool) -> None:
        self._count += 1

    def close(self) -> None:
        Path(self.name).write_text(str(self._gain * self._count))


THEIRS = SinkKind(
    name="MyFormat",
    title="a MyFormat recording",
    endings=(".myf",),
    schemes=("mywall",),
    addresses=("mywall://HOST",),
    options=("gain",),
    open=lambda place, query: MySink(place, int(query.get("gain", "1"))),
)


@pytest.fixture
def cine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    plug_in(monkeypatch, "edgerecon.sinks", THEIRS)
    sink_kinds.cache_clear()
    np.save(tmp_path / "in.npy", np.zeros((3, 8, 8), np.uint8))
    yield tmp_path / "in.npy"
    sink_kinds.cache_clear()


def test_a_stream_writes_the_file_of_another_package(cine: Path) -> None:
    out = cine.with_name("out.MYF")
    report = stream(open_source(str(cine)), None, [open_sink(f"{out}?gain=7")], policy="every", pace=False)
    assert report.error is None and out.read_text() == "21"


def test_a_foreign_sink_is_refused_options_it_lacks(cine: Path) -> None:
    with pytest.raises(UsageError, match="a MyFormat recording has no option 'colour': it has gain"):
        open_sink("out.myf?colour=red")
    with pytest.raises(UsageError, match=r"unknown sink 'out.xyz': give a path ending in .*\.myf.*mywall://HOST"):
        open_sink("out.xyz")


def test_a_file_of_another_package_is_a_recording_like_others(cine: Path) -> None:
    assert is_conversion(open_source(str(cine)), ["out.myf"]) and ".myf" in recording_endings()
    with pytest.raises(UsageError, match="written to one place"):
        refuse_overwriting(["sample"], ["out.myf", "./out.myf?gain=2"])


def test_a_recording_that_its_sink_cannot_recover_is_said_so(cine: Path) -> None:
    cine.with_name(".out.myf.999999999.part").write_text("1")
    (found,) = recover(cine.parent)
    assert found.fault is not None and "a MyFormat recording cannot be recovered" in found.fault


def test_kinds_share_no_ending_word_or_scheme() -> None:
    kinds = sink_kinds().values()
    for field in ("endings", "words", "schemes"):
        found = [one for kind in kinds for one in getattr(kind, field)]
        assert len(found) == len(set(found)), field
    for kind in kinds:
        assert kind.endings or kind.addresses, f"{kind.name} can be asked for by nothing"


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("null", "null"),
        ("viewer://bed:80", "viewer"),
        ("metrics?name=a", "metrics"),
        ("black-box:dir/a.mp4", "black box"),
        ("viewer.mp4", "MP4"),
        ("dir/OUT.DCM?kind=secondary", "DICOM"),
        ("file:///tmp/a.h5", "HDF5"),
        ("shm://a.mp4", "shared memory"),
        ("ftp://host/a.mp4", None),
        ("out.avi", None),
    ],
)
def test_the_kind_of_an_address(uri: str, name: str | None) -> None:
    kind = kind_of(uri)
    assert (kind.name if kind is not None else None) == name


def test_looking_up_a_kind_loads_no_heavy_library() -> None:
    heavy = ("av", "pydicom", "h5py", "zarr", "starlette", "uvicorn", "prometheus_client")
    code = (
        "import sys; from edgerecon.stream.sinks.kind import sink_kinds; sink_kinds();"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert found.stdout.strip() == "[]"

"""Outputs that would overwrite a source or one another are refused, however they are spelt, before anything opens."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import edgerecon as er
from edgerecon.cli.demo import JSON, PAGE, VIDEO, run_demo
from edgerecon.core.errors import ConfigError, SinkError, UsageError
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.overwriting import refuse_overwriting
from edgerecon.stream.serve.config import load_config
from edgerecon.stream.sinks import StreamInfo, open_sink
from edgerecon.stream.sinks.files.mp4 import Mp4Sink


@pytest.fixture
def cine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "in.npz"
    np.savez(path, frames=np.zeros((3, 8, 8), np.uint8))
    (tmp_path / "sub").mkdir()
    (tmp_path / "soft.npz").symlink_to("in.npz")
    os.link(path, tmp_path / "hard.npz")
    (tmp_path / "folder").symlink_to(".")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return path


@pytest.mark.parametrize("source", ["in.npz", "file://{folder}/in.npz", "soft.npz", "~/in.npz"])
@pytest.mark.parametrize(
    "sink",
    ["in.npz", "./in.npz", "sub/../in.npz", "{folder}/in.npz", "soft.npz", "hard.npz", "folder/in.npz", "~/in.npz"],
)
def test_a_source_is_never_overwritten_by_any_spelling(cine: Path, source: str, sink: str) -> None:
    with pytest.raises(UsageError, match="would overwrite the source"):
        refuse_overwriting([source.format(folder=cine.parent)], ["null", sink.format(folder=cine.parent)])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("out.mp4", "./out.mp4"),
        ("out.npz", "sub/../out.npz"),
        ("out.mp4", "folder/out.mp4"),
        ("Out.mp4", "out.mp4"),
        ("soft.npz", "hard.npz"),
        ("out.dcm", "out.dcm?kind=secondary"),
        ("box/out.npz", "black-box:box"),
        ("igtl://:18944", "igtl://:18944"),
        ("shm://a", "shm://a"),
    ],
)
def test_two_sinks_on_one_place_are_refused(cine: Path, one: str, other: str) -> None:
    with pytest.raises(UsageError, match="give each its own"):
        refuse_overwriting(["sample"], [one, other])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.mhd", "ElementDataFile = part.h5"),
        ("a.mhd", "ElementDataFile = LIST\nnone.raw\npart.h5"),
        ("a.mhd", "ElementDataFile: pa%01drt.h5 1 2 1"),
        ("a.nhdr", "NRRD0004\ndata file: part.h5"),
        ("a.nhdr", "NRRD0004\ndata file: LIST\npart.h5"),
    ],
)
def test_data_files_that_a_header_names_are_the_source(cine: Path, name: str, text: str) -> None:
    for part in ("part.h5", "pa1rt.h5"):
        Path(part).write_bytes(b"pixels")
    Path(name).write_text(text)
    with pytest.raises(UsageError, match="would overwrite the source"):
        refuse_overwriting([name], ["pa1rt.h5" if "%" in text else "part.h5"])
    refuse_overwriting([name], ["other.h5"])


def test_what_lies_in_a_source_folder_is_the_source(cine: Path) -> None:
    for sink in ("sub/out.mp4", "folder/sub/out.mp4", "black-box:sub/box"):
        with pytest.raises(UsageError, match="would overwrite"):
            refuse_overwriting(["sub"], [sink])


def test_a_black_box_does_not_delete_the_incident_that_it_plays(cine: Path) -> None:
    with pytest.raises(UsageError, match="would overwrite"):
        refuse_overwriting(["in.npz"], ["black-box:."])


def test_reports_and_references_are_kept_apart_too(cine: Path) -> None:
    with pytest.raises(UsageError, match="would overwrite"):
        refuse_overwriting(["in.npz"], ["null"], [Path("soft.npz")])
    with pytest.raises(UsageError, match="written to one place"):
        refuse_overwriting(["in.npz"], ["out.mp4"], [Path("./out.mp4")])
    Path("out.dcm").write_bytes(b"DICM")
    with pytest.raises(UsageError, match="would overwrite"):
        refuse_overwriting(["in.npz"], [f"out.dcm?source={cine.parent / 'out.dcm'}"])


def test_other_places_are_free(cine: Path) -> None:
    sinks = ["IN2.npz", "sub/in.npz", "viewer", "metrics:9000", "shm://a", "igtl://:1", "null", "null", "black-box:box"]
    refuse_overwriting(["in.npz"], sinks, [Path("-"), Path("/dev/null"), Path("report.json")])
    refuse_overwriting(["shm://b"], sinks)
    refuse_overwriting(["sim://"], ["in.npz"])


def test_serve_compares_all_streams(cine: Path) -> None:
    table = '[[stream]]\nname = "{name}"\nsource = "{source}"\nsinks = ["{sink}"]\n'
    for streams in (
        [("a", "sample", "soft.npz"), ("b", "in.npz", "null")],
        [("a", "sample", "out.mp4"), ("b", "sample", "sub/../out.mp4")],
    ):
        text = "".join(table.format(name=name, source=source, sink=sink) for name, source, sink in streams)
        Path("streams.toml").write_text(text)
        with pytest.raises(ConfigError, match="would overwrite|one place"):
            load_config("streams.toml")


@pytest.mark.parametrize("sink", ["in.npz", "./soft.npz", "hard.npz", "folder/in.npz", "black-box:."])
def test_streams_from_python_are_refused_alike(cine: Path, sink: str) -> None:
    before = cine.read_bytes()
    with pytest.raises(er.EdgereconError, match="would overwrite the source"):
        er.stream(er.open_source("in.npz"), None, [er.open_sink(sink)], pace=False)
    assert cine.read_bytes() == before and sorted(map(str, Path().iterdir())) == [
        "folder",
        "hard.npz",
        "in.npz",
        "soft.npz",
        "sub",
    ]


def test_twin_sinks_from_python_are_refused(cine: Path) -> None:
    sinks = [Mp4Sink(Path("out.mp4")), er.open_sink("sub/../out.mp4")]
    with pytest.raises(UsageError, match="written to one place"):
        er.stream(er.open_source("in.npz"), None, sinks, pace=False)


def test_a_sink_does_not_overwrite_what_it_refers_to(cine: Path, echo_cine: Path) -> None:
    shutil.copy(echo_cine, "out.dcm")
    with pytest.raises(UsageError, match="would overwrite"):
        er.stream(er.open_source("in.npz"), None, [er.open_sink("out.dcm?source=./out.dcm")])


@pytest.mark.parametrize("name", [VIDEO, PAGE, JSON])
def test_the_demo_does_not_overwrite_its_source(cine: Path, name: str) -> None:
    Path(name).symlink_to("in.npz")
    with pytest.raises(UsageError, match="would overwrite the source"):
        run_demo(Path(), source="in.npz")


@pytest.mark.parametrize("uri", ["file://[::1", "file://[::1]]/in.npz", "file://[::1/out.npz"])
def test_an_open_bracket_is_one_line(cine: Path, uri: str) -> None:
    refuse_overwriting([uri], [uri.replace("in", "out")])
    for open_ in (er.open_source, er.open_sink):
        with pytest.raises(er.EdgereconError) as caught:
            open_(uri)
        assert "\n" not in str(caught.value)


def test_a_recording_of_another_process_is_not_replaced(tmp_path: Path) -> None:
    """The one that ends later took the place of the other, which had said that it was recorded."""
    other = subprocess.Popen(["sleep", "600"])
    info = StreamInfo("probe", "none", "none", "fp32", 1 / 30, 33.0, None, Counters())
    try:
        for name in ("out.npz", "out[1].h5"):
            part = tmp_path / f".{name}.{other.pid}.part"
            part.touch()
            with pytest.raises(SinkError, match=f"process {other.pid} is writing it"):
                open_sink(str(tmp_path / name)).open(info)
            assert list(tmp_path.iterdir()) == [part]
            part.unlink()
        (tmp_path / f".another-out.npz.{other.pid}.part").touch()
        open_sink(str(tmp_path / "out.npz")).open(info)
    finally:
        other.kill()
        other.wait(timeout=60)
    (tmp_path / f".out.npz.{other.pid}.part").touch()
    open_sink(str(tmp_path / "out.npz")).open(info)  # its process is gone

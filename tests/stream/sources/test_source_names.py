"""Names of files that libraries, terminals and Python take for something else."""

from __future__ import annotations

import logging
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from edgerecon.cli.main import main
from edgerecon.core.errors import SourceError, UsageError
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sinks import open_sink
from edgerecon.stream.sources import open_source

FRAMES = np.random.default_rng(11).integers(0, 256, (4, 16, 16), np.uint8)


def write_video(path: Path) -> None:
    with av.open(str(path), "w") as container:
        out = container.add_stream("libx264", rate=20)
        out.width = out.height = 16
        for frame in FRAMES:
            container.mux(out.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        container.mux(out.encode(None))


@pytest.mark.parametrize("name", ["2026-01-01T10:30:00", "http:a", "a|b", "pipe:1", "%03d", "-"])
@pytest.mark.parametrize("suffix", [".mp4", ".npy", ".png", ".tif"])
def test_source_is_a_file_never_a_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, suffix: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(name + suffix)
    if suffix == ".mp4":
        write_video(path.absolute())
    elif suffix == ".npy":
        np.save(path.absolute(), FRAMES)
    else:
        path.write_bytes(cv2.imencode(suffix, FRAMES[0])[1].tobytes())
    source = open_source(str(path))
    assert source.name == path.name
    assert len([capture for capture in source.frames() if capture.image is not None]) >= 1


@pytest.mark.parametrize("suffix", [".mp4", ".npz", ".h5", ".zarr", ".dcm"])
def test_sink_is_a_file_never_a_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", FRAMES)
    name = f"2026-01-01T10:30:00{suffix}"
    stream(open_source("a.npy"), None, [open_sink(name)], policy="every", pace=False)
    assert (tmp_path / name).exists()
    if suffix != ".zarr":
        assert open_source(name).length in (4, None)


@pytest.mark.parametrize("name", ["a\0b", "~\0", "file://a\0", "file://[::1", "a\0?rf", "x" * 5000, "a\0.mp4"])
def test_impossible_names_are_one_line(name: str) -> None:
    with pytest.raises((SourceError, UsageError)) as caught:
        open_source(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["~\0.npz", "black-box:~\0"])
def test_impossible_names_of_sinks_are_one_line(name: str) -> None:
    with pytest.raises(UsageError, match="no name of a file"):
        open_sink(name)


def test_control_characters_of_names_do_not_reach_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("red\x1b[31m\r\x07.npy", FRAMES)
    source = open_source("red\x1b[31m\r\x07.npy")
    assert source.name == r"red\x1b[31m\r\x07.npy"
    root = logging.getLogger()
    handlers = root.handlers[:]
    root.handlers.clear()
    try:
        for arguments in (
            ["stream", "none\x1b[31m\u202e.npy"],
            ["stream", "red\x1b[31m\r\x07.npy", "--sink", "null", "--no-pace"],
        ):
            monkeypatch.setattr("sys.argv", ["edgerecon", *arguments])
            with pytest.raises(SystemExit):
                main()
            logging.getLogger("edgerecon").warning("the file %s", "red\x1b[31m")
    finally:
        root.handlers[:] = handlers
    shown = "".join(capfd.readouterr())
    assert r"none\x1b[31m\u202e.npy" in shown and r"the file red\x1b[31m" in shown
    assert not set("\x1b\x07\u202e") & set(shown)


def test_a_link_that_leads_nowhere_is_told_from_a_missing_file(tmp_path: Path) -> None:
    for name, target in (("annexed.mp4", ".git/annex/objects/x.mp4"), ("loop.mp4", "loop.mp4")):
        (tmp_path / name).symlink_to(target)
        with pytest.raises(SourceError, match=f"{name} is a link to {target}, which is not there"):
            open_source(str(tmp_path / name))


def test_a_folder_without_images_names_a_recording_in_it(tmp_path: Path) -> None:
    for name in ("b.mha", "a.dcm", "notes.txt"):
        (tmp_path / name).touch()
    with pytest.raises(SourceError, match=r"holds no images .*; give a recording by itself: .*/a\.dcm$"):
        open_source(str(tmp_path))

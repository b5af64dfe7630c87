"""The verb ``beamform`` and what it writes."""

from __future__ import annotations

import json
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edgerecon.cli.main import app
from edgerecon.core.errors import EdgereconError, UsageError
from edgerecon.stream.sources import open_source
from edgerecon.stream.sources.query import with_options
from tests.stream.sources.test_channel_sources import FOCUSED, PLANE, POINTS, raw_data, zea, zea_scan

h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install 'edgerecon[stream]'")
GRID = "-5:5:0.5,8:16:0.25"


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return zea(tmp_path_factory.mktemp("channel") / "a.hdf5", raw_data(PLANE[:1]), **zea_scan(PLANE[:1]))


def run(*arguments: object):
    return CliRunner().invoke(app, ["beamform", *map(str, arguments)])


def read(path: Path) -> np.ndarray:
    if path.suffix == ".npz":
        return np.load(path)["beamformed"]
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return file["beamformed"][()]
    pyuff = pytest.importorskip("pyuff_ustb", reason="pyuff-ustb is not installed: pip install 'edgerecon[stream]'")
    found = pyuff.Uff(str(path)).read("beamformed_data")
    return np.asarray(found.data).reshape(21, 33, -1).transpose(2, 1, 0)


def test_every_ending_holds_the_same_frames(recording: Path, tmp_path: Path) -> None:
    frames = []
    for ending in ("npz", "h5", "uff"):
        done = run(recording, "-o", tmp_path / f"a.{ending}", "--grid", GRID, "--json", tmp_path / "a.json")
        assert done.exit_code == 0, done.output
        frames.append(read(tmp_path / f"a.{ending}"))
    said = json.loads((tmp_path / "a.json").read_text())
    assert said["frames"] == 2 and said["shape"] == [33, 21] and said["stages_ms"]["beamform"]["p50"] > 0
    assert frames[0].shape == (2, 33, 21)
    np.testing.assert_array_equal(frames[0], frames[1])
    np.testing.assert_array_equal(frames[0], frames[2])
    row, column = np.unravel_index(np.abs(frames[0][0]).argmax(), (33, 21))
    assert (-5 + column * 0.5, 8 + row * 0.25) in [(x * 1e3, z * 1e3) for x, z in POINTS]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5", "a.json", "a.npz", "a.uff"]


def test_focused_waves_are_beamformed(tmp_path: Path) -> None:
    scan = zea_scan(
        FOCUSED,
        focus_distances=np.array([np.hypot(one.source_x_m, one.source_z_m) for one in FOCUSED]),
        polar_angles=np.array([np.arctan2(one.source_x_m, one.source_z_m) for one in FOCUSED]),
    )
    path = zea(tmp_path / "a.hdf5", raw_data(FOCUSED), **scan)
    source = open_source(f"{path}?grid={GRID}")
    image = next(iter(source.frames())).image
    near = image[round((14 - 8) / 0.25) - 2 :][:5, round((3 + 5) / 0.5) - 2 :][:, :5]
    assert np.unravel_index(near.argmax(), near.shape) == (2, 2)


def test_frames_that_cannot_be_formed_are_named(tmp_path: Path) -> None:
    raw = raw_data(PLANE[:1])
    raw[1, 0, 5, 3, 0] = np.nan
    path = zea(tmp_path / "a.hdf5", raw, **zea_scan(PLANE[:1]))
    done = run(path, "-o", tmp_path / "a.npz", "--grid", GRID)
    assert done.exit_code and isinstance(done.exception, EdgereconError)
    assert "1 frames could not be formed; frame 1" in str(done.exception) and "not all finite" in str(done.exception)
    assert len(read(tmp_path / "a.npz")) == 1


def test_recordings_of_several_gigabytes_are_read_by_frame(tmp_path: Path) -> None:
    """60 000 frames of 106 kB, none of them written: reading the last one holds a few frames at most."""
    path, shape = tmp_path / "a.hdf5", raw_data(PLANE[:1]).shape
    scan = zea_scan(PLANE[:1])
    del scan["time_to_next_transmit"]
    zea(path, np.zeros((1, *shape[1:]), "f4"), **scan)
    with h5py.File(path, "a") as file:
        del file["data/raw_data"]
        file.create_dataset("data/raw_data", (60_000, *shape[1:]), "f4", chunks=(1, *shape[1:]), fillvalue=1.0)
    source = open_source(f"{path}?grid={GRID}")
    assert source.length == 60_000 and path.stat().st_size < 1 << 20
    tracemalloc.start()
    try:
        picture, _ = source.form(source.read(59_999))
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()
    assert picture.shape == (33, 21)


def test_wrong_places_and_words_are_refused(recording: Path, tmp_path: Path) -> None:
    for arguments, words in (
        ((recording, "-o", tmp_path / "a.png"), "ends in .npz"),
        ((recording, "-o", tmp_path / "a.npz", "--grid", "wide"), "makes no sense"),
        ((recording, "-o", tmp_path / "a.npz", "--beamform", "magic"), "known are"),
        ((recording, "-o", recording), "overwrite|is read"),
        (("sample", "-o", tmp_path / "a.npz"), "no channel data"),
    ):
        done = run(*arguments)
        assert done.exit_code and isinstance(done.exception, EdgereconError), arguments
        assert re.search(words, str(done.exception)), str(done.exception)
    assert not list(tmp_path.iterdir())


def test_options_join_those_of_the_address() -> None:
    assert with_options("a.uff?range=50", {"beamform": "cf", "grid": None}) == "a.uff?range=50&beamform=cf"
    assert with_options("sim://?channel", {"grid": "8x8"}) == "sim://?channel&grid=8x8"
    assert with_options("a.uff", {"grid": None}) == "a.uff"
    with pytest.raises(UsageError, match="beamform"):
        open_source(with_options("sim://", {"beamform": "cf"}))

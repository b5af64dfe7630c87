"""Channel data of the PICMUS challenge and of MUST, as MATLAB writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.errors import SourceError
from edgerecon.stream.sources import open_source
from tests.stream.sources.test_channel_sources import (
    CARRIER,
    COUNT,
    PITCH,
    PLANE,
    POINTS,
    RATE,
    SPEED,
    START,
    TIME,
    X,
    echoes,
)

h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install 'edgerecon[stream]'")
GRID = "-5:5:0.5,8:16:0.25"


def points_are_there(path: Path) -> None:
    image = next(iter(open_source(f"{path}?grid={GRID}").frames())).image
    row, column = np.unravel_index(image.argmax(), image.shape)
    assert (-5 + column * 0.5, 8 + row * 0.25) in [(x * 1e3, z * 1e3) for x, z in POINTS]


def picmus(path: Path, iq: bool, **changes: object) -> Path:
    data = echoes(PLANE, TIME) * (np.exp(-2j * np.pi * CARRIER * TIME) if iq else 1)
    fields = {
        "data/real": data.real.astype("f4"),
        "data/imag": data.imag.astype("f4") * iq,
        "angles": np.array([wave.angle_rad for wave in PLANE], "f4"),
        "probe_geometry": np.stack([X, 0 * X, 0 * X]).astype("f4"),
        "sampling_frequency": np.array([RATE]),
        "modulation_frequency": np.array([CARRIER * iq]),
        "initial_time": np.array([START]),
        "sound_speed": np.array([SPEED]),
        "PRF": np.array([100.0]),
    }
    with h5py.File(path, "w") as file:
        for key, value in (fields | changes).items():
            if value is not None:
                file[f"US/US_DATASET0000/{key}"] = value
    return path


@pytest.mark.parametrize("iq", [False, True])
def test_picmus_is_beamformed(tmp_path: Path, iq: bool) -> None:
    path = picmus(tmp_path / "a.hdf5", iq)
    assert open_source(f"{path}?grid={GRID}").period_s == pytest.approx(0.03)
    points_are_there(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sound_speed": None}, "sound_speed_m_s is missing"),
        ({"angles": np.zeros(2)}, "2 angles"),
        ({"data/real": np.full((3, COUNT, TIME.size), np.nan, "f4")}, "not all finite"),
        ({"data/real": np.zeros((3, COUNT, TIME.size), bool)}, "data/real holds bool"),
    ],
)
def test_wrong_picmus_fields_are_named(tmp_path: Path, changes: dict, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        open_source(f"{picmus(tmp_path / 'a.hdf5', False, **changes)}?grid={GRID}")


def must(path: Path, iq: bool, **changes: object) -> Path:
    data = echoes(PLANE[1:2], TIME) * (np.exp(-2j * np.pi * CARRIER * TIME) if iq else 1)
    values = data.real.astype("i2") if not iq else data
    if iq:
        values = np.empty(data.shape, [("real", "f8"), ("imag", "f8")])
        values["real"], values["imag"] = data.real, data.imag
    else:
        values = np.rint(data.real * 9000).astype("i2")
    param = {"fs": RATE, "fc": CARRIER, "c": SPEED, "pitch": PITCH, "t0": START, "TXdelay": np.zeros((COUNT, 1))}
    with h5py.File(path, "w", userblock_size=512) as file:
        file["IQ" if iq else "RF"] = values
        for key, value in (param | changes).items():
            if value is not None:
                file[f"param/{key}"] = value if np.ndim(value) else np.array([[value]])
    return path


@pytest.mark.parametrize("iq", [False, True])
def test_must_is_beamformed(tmp_path: Path, iq: bool) -> None:
    points_are_there(must(tmp_path / "a.mat", iq))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"c": None}, "sound_speed_m_s is missing"),
        ({"pitch": None}, "pitch"),
        ({"TXdelay": np.ones((3, 1))}, "TXdelay"),
        ({"TXdelay": np.zeros((3, 1))}, "TXdelay"),
        ({"pitch": -PITCH}, "param.pitch"),
        ({"radius": np.nan}, "param.radius"),
        ({"t0": np.inf}, "param.t0"),
    ],
)
def test_wrong_must_fields_are_named(tmp_path: Path, changes: dict, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        open_source(f"{must(tmp_path / 'a.mat', False, **changes)}?grid={GRID}")


def must_5(path: Path, iq: bool, **changes: object) -> Path:
    """As ``save("data.mat", "RF", "param")`` writes it, two frames."""
    savemat = pytest.importorskip("scipy.io", reason="SciPy is not installed: pip install 'edgerecon[stream]'").savemat
    data = echoes(PLANE[1:2], TIME)[0].T * (np.exp(-2j * np.pi * CARRIER * TIME)[:, None] if iq else 1)
    values = data if iq else np.rint(data.real * 9000).astype("i2")
    param = {"fs": RATE, "fc": CARRIER, "c": SPEED, "pitch": PITCH, "t0": START, "TXdelay": np.zeros((1, COUNT))}
    told = {key: value for key, value in (param | changes).items() if value is not None}
    savemat(path, {"IQ" if iq else "RF": np.stack([values] * 2, -1), "param": told})
    return path


@pytest.mark.parametrize("iq", [False, True])
def test_must_of_version_5_is_beamformed(tmp_path: Path, iq: bool) -> None:
    path = must_5(tmp_path / "a.mat", iq)
    points_are_there(path)
    assert open_source(f"{path}?grid={GRID}").length == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"c": None}, "sound_speed_m_s is missing"), ({"pitch": None}, "pitch"), ({"TXdelay": np.ones(3)}, "TXdelay")],
)
def test_wrong_must_fields_of_version_5_are_named(tmp_path: Path, changes: dict, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        open_source(f"{must_5(tmp_path / 'a.mat', False, **changes)}?grid={GRID}")


def test_other_files_of_version_5_are_refused(tmp_path: Path) -> None:
    savemat = pytest.importorskip("scipy.io", reason="SciPy is not installed: pip install 'edgerecon[stream]'").savemat
    savemat(tmp_path / "a.mat", {"x": np.zeros(3)})
    savemat(tmp_path / "b.mat", {"RF": np.zeros((3, 3)), "param": np.zeros(3)})
    whole = must_5(tmp_path / "c.mat", False).read_bytes()
    (tmp_path / "c.mat").write_bytes(whole[: len(whole) // 2])
    for name, words in (
        ("a", "no RF or IQ with param"),
        ("b", "param is no structure"),
        ("c", "no RF or IQ with param"),
    ):
        with pytest.raises(SourceError, match=words) as caught:
            open_source(str(tmp_path / f"{name}.mat"))
        assert "\n" not in str(caught.value)

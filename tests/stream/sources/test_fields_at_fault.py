"""Headers and descriptions that hold something else than they should: the message names the field."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.errors import SourceError
from edgerecon.stream.sources import open_source
from tests.stream.sources.test_channel_sources import PLANE, raw_data, uff, zea, zea_scan
from tests.stream.sources.test_picmus_must import must, must_5, picmus

h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install 'edgerecon[stream]'")

FRAMES = np.random.default_rng(4).integers(0, 256, (2, 6, 8), np.uint8)
NRRD = {"type": "uint8", "dimension": "3", "sizes": "8 6 2", "encoding": "raw"}
META = {"NDims": "3", "DimSize": "8 6 2", "ElementType": "MET_UCHAR", "ElementDataFile": "LOCAL"}
PYTHON = ("could not convert", "invalid literal", "unpack", "object", "list", "index", "None", "KeyError", "'int'")
"""What Python says of a value, which tells a user nothing."""


def refusal(path: Path) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(f"{path}?grid=-5:5:0.5,8:16:0.25" if path.suffix in (".hdf5", ".mat") else str(path))
    said = str(caught.value)
    assert "\n" not in said and said.startswith(path.name) and not any(words in said for words in PYTHON), said
    return said


def nrrd(path: Path, **changes: str | None) -> Path:
    fields = {key: value for key, value in (NRRD | changes).items() if value is not None}
    lines = "".join(f"{key}: {value}\n" for key, value in fields.items())
    path.write_bytes(f"NRRD0004\n{lines}\n".encode() + FRAMES.tobytes())
    return path


def meta(path: Path, **changes: str | None) -> Path:
    fields = META | changes
    fields["ElementDataFile"] = fields.pop("ElementDataFile")
    lines = "".join(f"{key} = {value}\n" for key, value in fields.items() if value is not None)
    path.write_bytes(lines.encode() + FRAMES.tobytes())
    return path


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("sizes", "8 6 two", "'sizes' holds no whole numbers: '8 6 two'"),
        ("sizes", "8 6 2.0", "'sizes' holds no whole numbers"),
        ("sizes", "9" * 5000, "'sizes' holds no whole numbers"),
        ("sizes", None, "'sizes' is missing"),
        ("type", "block", "'type' is none of those that are read: 'block'"),
        ("encoding", "zrl", "'encoding' is none of those that are read: 'zrl'"),
        ("endian", "middle", "'endian' is none of those that are read: 'middle'"),
        ("byte skip", "many", "'byte skip' holds no whole numbers: 'many'"),
        ("line skip", "1 2", "'line skip' holds more than one number: '1 2'"),
        ("spacings", "0.1 wide 1", "'spacings' holds no numbers: '0.1 wide 1'"),
        ("space directions", "(0.1,0) (0,tall) none", "'space directions' holds no numbers"),
        ("space directions", "0.1 0.2 1", "'space directions' holds no vectors"),
    ],
)
def test_a_field_of_an_nrrd_is_named(tmp_path: Path, field: str, value: str | None, words: str) -> None:
    assert words in refusal(nrrd(tmp_path / "a.nrrd", **{field: value}))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("DimSize", "8 six 2", "'DimSize' holds no whole numbers: '8 six 2'"),
        ("DimSize", None, "'DimSize' is missing"),
        ("ElementType", "MET_STRING", "'ElementType' is none of those that are read: 'MET_STRING'"),
        ("ElementNumberOfChannels", "one", "'ElementNumberOfChannels' holds no whole numbers"),
        ("HeaderSize", "big", "'HeaderSize' holds no whole numbers"),
        ("ElementSpacing", "0.1 wide 1", "'ElementSpacing' holds no numbers: '0.1 wide 1'"),
        ("BinaryDataByteOrderMSB", "maybe", "'BinaryDataByteOrderMSB' is neither True nor False: 'maybe'"),
        ("CompressedData", "zip", "'CompressedData' is neither True nor False: 'zip'"),
    ],
)
def test_a_field_of_a_metaimage_is_named(tmp_path: Path, field: str, value: str | None, words: str) -> None:
    assert words in refusal(meta(tmp_path / "a.mha", **{field: value}))


def test_yes_and_no_are_told_by_their_first_letter(tmp_path: Path) -> None:
    """As MetaIO does: F is text, and T is big-endian."""
    text = " ".join(map(str, FRAMES.ravel()))
    path = meta(tmp_path / "a.mha", BinaryData="F")
    path.write_bytes(path.read_bytes()[: -FRAMES.size] + text.encode())
    np.testing.assert_array_equal([one.image for one in open_source(str(path)).frames()], FRAMES)
    path = meta(tmp_path / "b.mha", BinaryDataByteOrderMSB="T", ElementType="MET_USHORT", DimSize="4 6 2")
    first = next(iter(open_source(str(path)).frames())).image
    np.testing.assert_array_equal(first, FRAMES.reshape(-1).view(">u2").reshape(2, 6, 4)[0])


def test_empty_fields_are_absent_ones(tmp_path: Path) -> None:
    path = meta(tmp_path / "a.mha", CompressedData="", ElementSpacing="", HeaderSize="")
    np.testing.assert_array_equal([one.image for one in open_source(str(path)).frames()], FRAMES)


WORDS = np.full(3, b"wide")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"angles": WORDS}, "'angles' holds text, no numbers"),
        ({"angles": None}, "no dataset 'angles'"),
        ({"probe_geometry": np.zeros((5, 4))}, "'probe_geometry' has the shape (5, 4), no axis of x, y, z"),
        ({"probe_geometry": np.zeros(9)}, "'probe_geometry' has the shape (9,), not any×any"),
        ({"sampling_frequency": b"fast"}, "'sampling_frequency' holds text, no numbers"),
        ({"PRF": np.array(b"fast")}, "'PRF' holds text, no numbers"),
        ({"data/real": np.zeros(7, "f4")}, "data of the shape (7,)"),
    ],
)
def test_a_field_of_picmus_is_named(tmp_path: Path, changes: dict, words: str) -> None:
    assert words in refusal(picmus(tmp_path / "a.hdf5", False, **changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fs": WORDS}, "'fs' holds text, no numbers"),
        ({"TXdelay": WORDS}, "'TXdelay' holds text, no numbers"),
        ({"radius": WORDS}, "'radius' holds text, no numbers"),
        ({"pitch": np.array([3e-4, 4e-4])}, "param.pitch holds 2 values that differ"),
    ],
)
def test_a_field_of_must_is_named(tmp_path: Path, changes: dict, words: str) -> None:
    assert words in refusal(must(tmp_path / "a.mat", False, **changes))


def test_text_as_matlab_writes_it_is_no_number(tmp_path: Path) -> None:
    """MATLAB 7.3 stores letters as words of 16 bits, which HDF5 calls numbers."""
    path = must(tmp_path / "a.mat", False, pitch=np.array([[ord(letter)] for letter in "wide"], "u2"))
    with h5py.File(path, "r+") as file:
        file["param/pitch"].attrs["MATLAB_class"] = np.bytes_("char")
    assert "'pitch' holds text, no numbers" in refusal(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pitch": "wide"}, "param.pitch holds text, no numbers"),
        ({"pitch": "0.0003"}, "param.pitch holds text, no numbers"),
        ({"fs": {"a": 1.0}}, "param.fs holds a cell or a structure, no numbers"),
        ({"c": 1540 + 1j}, "param.c holds complex numbers, no real ones"),
        ({"fc": [5e6, 6e6]}, "param.fc holds 2 values that differ"),
    ],
)
def test_a_field_of_must_5_is_named(tmp_path: Path, changes: dict, words: str) -> None:
    assert words in refusal(must_5(tmp_path / "a.mat", False, **changes))


def test_a_parameter_list_of_must_that_is_a_dataset(tmp_path: Path) -> None:
    path = must(tmp_path / "a.mat", False)
    with h5py.File(path, "r+") as file:
        del file["param"]
        file["param"] = np.zeros(3)
    assert "no group 'param'" in refusal(path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"probe_geometry": np.zeros((2, 3))}, "'probe_geometry' has the shape (2, 3), not 40×3"),
        ({"probe_geometry": WORDS}, "'probe_geometry' holds text, no numbers"),
        ({"t0_delays": np.zeros(3)}, "'t0_delays' has the shape (3,)"),
        ({"focus_distances": np.full(1, b"far")}, "'focus_distances' holds text, no numbers"),
        ({"time_to_next_transmit": np.zeros(7)}, "'time_to_next_transmit' has 7 values for"),
        ({"time_to_next_transmit": WORDS}, "'time_to_next_transmit' holds text, no numbers"),
        ({"sound_speed": b"fast"}, "'sound_speed' holds text, no numbers"),
        ({"sampling_frequency": np.array([4e7, 2e7])}, "'sampling_frequency' holds 2 values that differ"),
        ({"demodulation_frequency": np.array([4e6, np.nan])}, "'demodulation_frequency' holds 2 values that differ"),
    ],
)
def test_a_field_of_zea_is_named(tmp_path: Path, changes: dict, words: str) -> None:
    assert words in refusal(zea(tmp_path / "a.hdf5", raw_data(PLANE), **(zea_scan(PLANE) | changes)))


def test_a_zea_file_without_a_scan(tmp_path: Path) -> None:
    assert "no group 'scan'" in refusal(zea(tmp_path / "a.hdf5", raw_data(PLANE)))


def pybf(path: Path, **changes: object) -> Path:
    fields: dict[str, object] = {
        "data/rf_data/frame_1/shot_1": np.zeros((16, 200), "f4"),
        "data/tx_mode/PW_1": np.zeros(1),
        "data/f_sampling": 2e7,
        "trans_params/x_pitch": 3e-4,
        "trans_params/f_central": 5e6,
    }
    with h5py.File(path, "w") as file:
        for key, value in (fields | changes).items():
            file[key] = value
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data/tx_mode/PW_1": np.full(1, b"0")}, "'data/tx_mode/PW_1' holds text, no numbers"),
        ({"data/rf_data/frame_1/shot_1": np.zeros(7)}, "'shot_1' has the shape (7,), not (elements, samples)"),
        ({"data/f_sampling": b"fast"}, "'data/f_sampling' holds text, no numbers"),
        ({"trans_params/x_pitch": b"wide"}, "'trans_params/x_pitch' holds text, no numbers"),
    ],
)
def test_a_field_of_pybf_is_named(tmp_path: Path, changes: dict, words: str) -> None:
    assert words in refusal(pybf(tmp_path / "a.hdf5", **changes))


def test_frames_of_pybf_that_are_no_group(tmp_path: Path) -> None:
    path = pybf(tmp_path / "a.hdf5")
    with h5py.File(path, "r+") as file:
        del file["data/rf_data"]
        file["data/rf_data"] = np.zeros(3)
    assert "no group 'data/rf_data'" in refusal(path)


@pytest.mark.parametrize("field", ["sampling_frequency", "initial_time", "PRF", "sequence/sequence_0001/delay"])
@pytest.mark.parametrize("value", [WORDS, np.array([[3.0, 4.0]])])
def test_a_number_of_uff_that_is_none_is_named(tmp_path: Path, field: str, value: np.ndarray) -> None:
    path = uff(tmp_path / "a.uff", PLANE)
    with h5py.File(path, "r+") as file:
        attributes = dict(file[f"channel_data/{field}"].attrs)
        del file[f"channel_data/{field}"]
        file[f"channel_data/{field}"] = value
        file[f"channel_data/{field}"].attrs.update(attributes)
    assert f"'{field}' holds no number, or several" in refusal(path)


def test_a_delay_beyond_all_scanners_is_refused(tmp_path: Path) -> None:
    """The picture was NaN."""
    path = uff(tmp_path / "a.uff", PLANE)
    with h5py.File(path, "r+") as file:
        file["channel_data/sequence/sequence_0002/delay"][...] = 1e300
    assert "start_s of a transmit makes no sense: 1e+300" in refusal(path)


def test_a_field_of_uff_is_named(tmp_path: Path) -> None:
    path = uff(tmp_path / "a.uff", PLANE)
    with h5py.File(path, "r+") as file:
        attributes = dict(file["channel_data/probe/geometry"].attrs)
        del file["channel_data/probe/geometry"]
        file["channel_data/probe/geometry"] = np.zeros((3, 3))
        file["channel_data/probe/geometry"].attrs.update(attributes)
    assert "probe.geometry has the shape (3, 3), not 7 values an element" in refusal(path)

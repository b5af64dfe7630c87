"""NumPy, MetaImage and NRRD: types and scales, cut and hostile files."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.errors import SourceError
from edgerecon.core.frame import to_unit
from edgerecon.stream.sources import open_source
from tests.stream.sources.playing import FRAMES, RNG, faults, images, refusal

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


# --- arrays ---


@pytest.mark.parametrize("shape", [(3, 6, 5), (6, 5), (3, 6, 5, 3), (2, 1, 1), (4, 5, 2)])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed, None])
def test_arrays(tmp_path: Path, shape: tuple[int, ...], save) -> None:
    frames = RNG.integers(0, 256, shape, np.uint8)
    if save:
        path = tmp_path / "a.npz"
        save(path, frames=frames, names=np.array(["x"]), fps=20.0, extra=np.eye(2))
    else:
        path = tmp_path / "a.npy"
        np.save(path, frames)
    source = open_source(str(path))
    assert source.period_s == (0.05 if save else None)
    np.testing.assert_array_equal([c.image for c in source.frames()], frames if frames.ndim > 2 else frames[None])


def test_array_types_are_scaled_by_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for dtype in ("<i2", ">i2", "<f4", ">f8", "<u4", "i1"):
        values = np.linspace(-90 if dtype[-2] != "u" else 0, 120, 60).reshape(3, 4, 5).astype(dtype)
        np.save(path, values)
        expected = (values - values.min().astype(float)) / np.ptp(values.astype(float))
        np.testing.assert_allclose([to_unit(image) for image in images(path)], expected, atol=1e-6)
    big_endian = RNG.integers(0, 65536, (2, 3, 4)).astype(">u2")
    np.save(path, big_endian)
    np.testing.assert_allclose([to_unit(image) for image in images(path)], big_endian / 65535, atol=1e-6)
    within = RNG.random((2, 3, 4)) * 0.5
    within[1, 0, 0] = np.nan
    np.save(path, within)
    np.testing.assert_allclose(images(path), within)
    np.save(path, np.full((2, 3, 4), 7.0))
    assert not np.any(images(path))


def test_array_refusals(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=FRAMES, b=FRAMES)
    assert "under the key 'frames'; it holds a, b" in refusal(path)
    np.savez(path, a=np.arange(4))
    assert "no array of two" in refusal(path)
    np.savez(path, only=FRAMES, fps=np.array(["fast"]))
    assert len(images(path)) == 5
    np.savez(path, frames=np.array([[None, {}]], dtype=object))
    assert "object" in refusal(path)
    np.savez(path, frames=FRAMES.astype(complex))
    assert "IQ" in refusal(path)
    np.savez(path, frames=np.zeros((0, 4, 4), np.uint8))
    assert "no pixels" in refusal(path)
    np.savez(path, frames=np.zeros((1, 4, 4, 2), np.uint8))
    assert "2 channels" in refusal(path)
    np.savez(path, frames=np.zeros((1, 1, 4, 4, 3), np.uint8))
    assert "T×H×W" in refusal(path)
    np.savez(path, frames=np.asfortranarray(FRAMES))
    assert "column-major" in refusal(path)
    path.write_bytes(path.read_bytes()[:-200])
    refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    refusal(path)


def npy_header(shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.getvalue()


def test_declared_sizes_are_checked_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    for shape in [(10_000, 10_000), (10**15, 4, 4), (1, 10**9, 10**9)]:
        path.write_bytes(npy_header(shape) + b"\0" * 64)
        assert "declares" in refusal(path)


def test_truncated_arrays_play_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, FRAMES)
    path.write_bytes(path.read_bytes()[:-130])
    assert faults(path) == [False, False, False, True, True]
    path.write_bytes(path.read_bytes()[:90])
    refusal(path)


def test_damaged_zip_member_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, frames=np.repeat(FRAMES, 60, 2))
    data = bytearray(path.read_bytes())
    data[-400] ^= 0xFF  # in the last frame: its checksum is met at the end
    path.write_bytes(data)
    assert faults(path)[:3] == [False] * 3 and faults(path)[-1]


# --- MetaImage and NRRD ---


def metaimage(
    path: Path, pixels: np.ndarray, kind: str, packed: bool = False, data: str = "LOCAL", **more: str
) -> Path:
    raw = zlib.compress(pixels.tobytes()) if packed else pixels.tobytes()
    fields = (
        {
            "ObjectType": "Image",
            "NDims": str(pixels.ndim),
            "BinaryData": "True",
            "BinaryDataByteOrderMSB": "False",
            "CompressedData": str(packed),
            "DimSize": " ".join(map(str, pixels.shape[::-1])),
            "ElementType": kind,
        }
        | more
        | {"ElementDataFile": data}
    )
    header = "".join(f"{key} = {value}\n" for key, value in fields.items()).encode()
    path.write_bytes(header + raw if data == "LOCAL" else header)
    if data != "LOCAL":
        (path.parent / data).write_bytes(raw)
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("data", ["LOCAL", "a.raw"])
def test_metaimage(tmp_path: Path, packed: bool, data: str) -> None:
    path = metaimage(tmp_path / "a.mha", FRAMES, "MET_UCHAR", packed, data, ElementSpacing="0.1 0.2 1")
    np.testing.assert_array_equal(images(path), FRAMES)
    assert open_source(str(path)).spacing_mm == (0.2, 0.1)


def test_metaimage_types_and_dimensions(tmp_path: Path) -> None:
    path = tmp_path / "a.mhd"
    for dtype, kind in (("<i2", "MET_SHORT"), ("<f4", "MET_FLOAT"), (">f8", "MET_DOUBLE")):
        order = {"BinaryDataByteOrderMSB": str(dtype[0] == ">")}
        values = (FRAMES - 60.0).astype(dtype)
        expected = (values - float(values.min())) / np.ptp(values.astype(float))
        np.testing.assert_allclose(images(metaimage(path, values, kind, True, **order)), expected, atol=1e-6)
    deep = FRAMES.astype("<u2") * 200
    np.testing.assert_array_equal(images(metaimage(path, deep, "MET_USHORT")), deep)
    np.testing.assert_array_equal(images(metaimage(path, FRAMES[0], "MET_UCHAR")), FRAMES[:1])
    np.testing.assert_array_equal(images(metaimage(path, FRAMES[:, None], "MET_UCHAR")), FRAMES)
    colour = RNG.integers(0, 256, (2, 5, 4, 3), np.uint8)
    size = {"ElementNumberOfChannels": "3", "DimSize": "4 5 2", "NDims": "3"}
    np.testing.assert_array_equal(images(metaimage(path, colour, "MET_UCHAR", **size)), colour)
    path = metaimage(path, FRAMES, "MET_UCHAR", data="a.raw", HeaderSize="-1")
    (tmp_path / "a.raw").write_bytes(b"preamble" + FRAMES.tobytes())
    np.testing.assert_array_equal(images(path), FRAMES)


def test_metaimage_refusals(tmp_path: Path) -> None:
    outside = tmp_path / "secret.raw"
    outside.write_bytes(FRAMES.tobytes())
    folder = tmp_path / "in"
    folder.mkdir()
    for data in ("../secret.raw", str(outside)):
        path = metaimage(folder / "a.mhd", FRAMES, "MET_UCHAR")
        path.write_bytes(path.read_bytes().split(b"ElementDataFile")[0] + f"ElementDataFile = {data}\n".encode())
        assert "outside its own folder" in refusal(path)
    path.write_bytes(path.read_bytes().replace(str(outside).encode(), b"none.raw"))
    assert "not beside it" in refusal(path)
    for changes in (
        {"DimSize": "100000 100000"},
        {"DimSize": "4 4 99999999999"},
        {"DimSize": "0 4"},
        {"DimSize": "12"},
        {"DimSize": "x y"},
        {"ElementType": "MET_STRING"},
        {"ElementNumberOfChannels": "2"},
    ):
        refusal(metaimage(path, FRAMES, "MET_UCHAR", **changes))
    for text in (b"garbage", b"NDims = 3\n", b"ElementDataFile = LOCAL\n", b"\xff" * 100):
        path.write_bytes(text)
        refusal(path)


@pytest.mark.parametrize("packed", [False, True])
def test_truncated_metaimage_plays_what_is_there(tmp_path: Path, packed: bool) -> None:
    path = metaimage(tmp_path / "a.mha", FRAMES, "MET_UCHAR", packed)
    path.write_bytes(path.read_bytes()[:-150])
    bad = faults(path)
    assert len(bad) == 5 and bad == sorted(bad) and 1 <= sum(bad) <= 3


def test_inflating_a_bomb_takes_the_memory_of_a_frame(tmp_path: Path) -> None:
    """1 GB of zeros in 1 MB: read frame by frame, never at once."""
    import tracemalloc

    packer = zlib.compressobj(9)
    block = (
        packer.compress(bytes(1 << 24)) + b"".join(packer.compress(bytes(1 << 24)) for _ in range(3)) + packer.flush()
    )
    path = tmp_path / "a.mha"
    header = (
        "NDims = 3\nDimSize = 1024 1024 64\nElementType = MET_UCHAR\nCompressedData = True\nElementDataFile = LOCAL\n"
    )
    path.write_bytes(header.encode() + block)
    tracemalloc.start()
    try:
        assert len(list(islice(open_source(str(path)).frames(), 8))) == 8
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_nrrd(tmp_path: Path) -> None:
    path = tmp_path / "a.nrrd"
    head = b"NRRD0004\n# a comment\ntype: unsigned char\ndimension: 3\nsizes: 10 12 5\n"
    path.write_bytes(head + b"encoding: gzip\nspacings: 0.1 0.2 1\n\n" + gzip.compress(FRAMES.tobytes()))
    np.testing.assert_array_equal(images(path), FRAMES)
    assert open_source(str(path)).spacing_mm == (0.2, 0.1)
    path.write_bytes(head + b"encoding: raw\n\n" + FRAMES.tobytes())
    np.testing.assert_array_equal(images(path), FRAMES)
    path.write_bytes(head + b"encoding: zrl\n\n")
    assert "zrl" in refusal(path)
    path.write_bytes(head + b"encoding: raw\ndata file: ../x.raw\n\n")
    assert "outside" in refusal(path)


@pytest.mark.parametrize("kinds", ["", "kinds: RGB-color domain domain list\n", "kinds: vector space space list\n"])
def test_colour_nrrd(tmp_path: Path, kinds: str) -> None:
    colour = RNG.integers(0, 256, (2, 6, 4, 3), np.uint8)
    head = f"NRRD0005\ntype: uchar\ndimension: 4\nsizes: 3 4 6 2\nencoding: raw\n{kinds}"
    path = tmp_path / "a.nrrd"
    path.write_bytes(f"{head}space directions: none (0.1,0,0) (0,0.2,0) none\n\n".encode() + colour.tobytes())
    np.testing.assert_array_equal(images(path), colour)
    assert open_source(str(path)).spacing_mm == pytest.approx((0.2, 0.1))


def test_nrrd_with_its_frames_first(tmp_path: Path) -> None:
    path = tmp_path / "slicer.seq.nrrd"
    head = b"NRRD0005\ntype: uchar\ndimension: 4\nsizes: 5 10 12 1\nkinds: list domain domain domain\n"
    path.write_bytes(head + b"encoding: raw\n\n" + FRAMES.tobytes())
    assert "frames on the first axis: save it with them on the last" in refusal(path)


@pytest.mark.parametrize("shape", [(4, 1, 24, 30), (4, 3, 24, 30)])
def test_channels_before_rows_are_refused_with_what_to_do(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    with pytest.raises(SourceError, match=r"channels first: save it with np\.moveaxis\(frames, 1, -1\)"):
        open_source(str(tmp_path / "a.npy"))

"""What NRRD and MetaImage headers say beside sizes and types: units, PLUS's orientation, kinds of colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.errors import SourceError
from edgerecon.stream.sources import open_source
from tests.stream.sources.test_fields_at_fault import FRAMES, meta, nrrd, refusal


@pytest.mark.parametrize(
    ("unit", "mm"), [("mm", 1), ("cm", 10), ("m", 1000), ("um", 1e-3), ("?", 1), ("", 1), ("in", None)]
)
def test_units_of_length(tmp_path: Path, unit: str, mm: float | None) -> None:
    expected = None if mm is None else pytest.approx((0.03 * mm, 0.02 * mm))
    path = meta(tmp_path / "a.mha", DistanceUnits=unit, ElementSpacing="0.02 0.03 1")
    assert open_source(str(path)).spacing_mm == expected
    for fields in (
        {"spacings": "0.02 0.03 1", "units": f'"{unit}" "{unit}" "s"'},
        {"space directions": "(0.02,0,0) (0,0.03,0) (0,0,1)", "space units": " ".join([f'"{unit}"'] * 3)},
    ):
        assert open_source(str(nrrd(tmp_path / "a.nrrd", **fields))).spacing_mm == expected


@pytest.mark.parametrize(
    ("letters", "rows", "columns"),
    [("MF", 1, 1), ("UF", 1, -1), ("MN", -1, 1), ("UN", -1, -1), ("un", -1, -1), ("UNA", -1, -1), ("FM", 1, 1)],
)
def test_orientation_of_plus_is_undone(tmp_path: Path, letters: str, rows: int, columns: int) -> None:
    expected = FRAMES[:, ::rows, ::columns]
    path = meta(tmp_path / "a.mha", UltrasoundImageOrientation=letters)
    np.testing.assert_array_equal([one.image for one in open_source(str(path)).frames()], expected)
    path = nrrd(tmp_path / "a.nrrd")
    head, data = path.read_bytes().split(b"\n\n", 1)
    path.write_bytes(head + f"\nUltrasoundImageOrientation:={letters}\n\n".encode() + data)
    np.testing.assert_array_equal([one.image for one in open_source(str(path)).frames()], expected)


def test_orientation_leaves_the_transforms(tmp_path: Path) -> None:
    """In PLUS they are of the picture as it is shown."""
    matrix = "0.2 0 0 5 0 0.3 0 6 0 0 1 7 0 0 0 1"
    fields = {"Seq_Frame0000_ImageToReferenceTransform": matrix, "Seq_Frame0000_ImageToReferenceTransformStatus": "OK"}
    path = meta(tmp_path / "a.mha", UltrasoundImageOrientation="UN", **fields)
    pose = next(iter(open_source(str(path)).frames())).pose
    assert pose is not None and pose.plane is not None
    np.testing.assert_allclose(pose.plane.matrix(FRAMES.shape[1:]).ravel(), [float(one) for one in matrix.split()])


@pytest.mark.parametrize("kind", ["HSV-color", "XYZ-color"])
def test_other_colours_than_rgb_are_refused(tmp_path: Path, kind: str) -> None:
    path = nrrd(tmp_path / "a.nrrd", sizes="3 8 4", kinds=f"{kind} domain domain")
    with pytest.raises(SourceError, match=f"colours of the kind '{kind.lower()}': save it as RGB-color"):
        open_source(str(path))


def test_numbers_of_dimensions_that_contradict_are_refused(tmp_path: Path) -> None:
    assert "'dimension' does not fit the 3 numbers of 'sizes': '2'" in refusal(nrrd(tmp_path / "a.nrrd", dimension="2"))
    assert "'NDims' does not fit the 2 numbers of 'DimSize'" in refusal(meta(tmp_path / "a.mha", DimSize="8 6"))


def test_text_that_is_no_number_is_not_quoted(tmp_path: Path) -> None:
    said = refusal(meta(tmp_path / "a.mha", BinaryData="False"))
    assert "it holds text that is no number" in said and "\\x" not in said

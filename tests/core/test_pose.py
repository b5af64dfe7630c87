"""Pose: what a matrix says of an image's pixels stays true whatever is done to it."""

from __future__ import annotations

import numpy as np
import pytest

from edgerecon.core.frame import Frame, plausible_spacing
from edgerecon.core.pose import Plane, Pose, Transform, matrix_of, plausible_time


def tilted(rng: np.random.Generator) -> np.ndarray:
    """A rotated image with pixels of 0.2 × 0.1 mm, somewhere."""
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    matrix = np.eye(4)
    matrix[:3, :3] = turn * [0.1, 0.2, 1.0]
    matrix[:3, 3] = rng.uniform(-300, 300, 3)
    return matrix


def test_a_plane_gives_back_its_matrix_and_spacing(rng) -> None:
    matrix = tilted(rng)
    plane = Plane.from_matrix(matrix, (480, 640))
    assert plane is not None
    np.testing.assert_allclose(plane.matrix((480, 640)), matrix, rtol=0, atol=1e-12)
    np.testing.assert_allclose(plane.centre, (matrix @ [319.5, 239.5, 0, 1])[:3])
    np.testing.assert_allclose(plane.spacing_mm, (0.2, 0.1))


def test_an_enlarged_image_lies_where_the_small_one_did(rng) -> None:
    small = tilted(rng)
    pose = Pose(Plane.from_matrix(small, (6, 8)))
    large = pose.enlarged(3).plane.matrix((18, 24))
    for column, row in (
        (0, 0),
        (7, 5),
        (3, 2),
    ):  # the middle one of the 3 × 3 lies where the pixel did
        middle = large @ [3 * column + 1, 3 * row + 1, 0, 1]
        np.testing.assert_allclose(middle, small @ [column, row, 0, 1], atol=1e-9)
    assert pose.enlarged(1) is pose


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300, -1e12])
def test_numbers_that_cannot_be_make_no_plane_or_matrix(value) -> None:
    matrix = np.eye(4)
    matrix[1, 3] = value
    assert Plane.from_matrix(matrix, (4, 4)) is None
    assert matrix_of(matrix.ravel().tolist()) is None
    assert Plane.of(np.zeros((3, 3)), np.zeros(3)) is None
    assert matrix_of([1.0] * 15) is None and matrix_of([1.0] * 16) is None
    assert plausible_time(value) is None and plausible_time(0.0) is None and plausible_time(12.5) == 12.5


def test_the_newest_transform_of_each_name_counts() -> None:
    pose = Pose(transforms=tuple(Transform(name, np.eye(4) * n) for n, name in enumerate("aba")))
    assert {name: one.matrix[0, 0] for name, one in pose.newest().items()} == {"a": 2, "b": 1}


@pytest.mark.parametrize("bad", [1e300, 1e39, 0.0, -1.0, np.nan, np.inf, 1e-40])
def test_a_frame_has_no_spacing_that_no_scanner_has(bad) -> None:
    for spacing in ((bad, 0.1), (0.1, bad)):
        assert plausible_spacing(spacing) is None
        assert Frame(np.zeros((2, 2), np.float32), 0, 0, spacing).spacing_mm is None
    assert Frame(np.zeros((2, 2), np.float32), 0, 0, (0.2, 0.1)).spacing_mm == (0.2, 0.1)

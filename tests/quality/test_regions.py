"""Regions from JSON and found automatically."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgerecon.core.errors import DataError
from edgerecon.quality.measures.speckle import cnr
from edgerecon.quality.regions import find_regions, image_area, read_regions


def phantom(rng: np.random.Generator) -> np.ndarray:
    """Homogeneous speckle left (dark above, bright below), a bright grid of lines right, black surroundings."""
    echo = np.full((300, 300), 0.35, np.float32)
    echo[150:] = 0.45
    echo[:, 150:][::12] = 0.9
    echo[:, 150:][:, ::17] = 0.9
    speckle = cv2.GaussianBlur(rng.standard_normal((300, 300)).astype(np.float32), (0, 0), 1.2)
    image = np.clip(echo + 0.1 * speckle / speckle.std(), 0.02, 1)
    return np.pad(image, 40).astype(np.float32)


def test_patches_lie_in_the_homogeneous_half(rng) -> None:
    regions = find_regions(phantom(rng))
    assert regions.how == "automatic"
    assert len(regions.homogeneous) == 8
    for y0, x0, y1, x1 in regions.homogeneous:
        assert 40 <= y0 < y1 <= 340 and 40 <= x0 < x1 <= 190
        assert y1 - y0 == x1 - x0 == 32


def test_patches_do_not_overlap_and_are_the_same_each_time(rng) -> None:
    image = phantom(rng)
    regions = find_regions(image)
    covered = np.zeros(image.shape, int)
    for y0, x0, y1, x1 in regions.homogeneous:
        covered[y0:y1, x0:x1] += 1
    assert covered.max() == 1
    assert find_regions(image.copy()) == regions


def test_contrast_pairs_have_room_to_rise_and_fall(rng) -> None:
    image = phantom(rng)
    pairs = find_regions(image).pairs
    assert pairs
    for bright, dark in pairs:
        boxes = [image[b[0] : b[2], b[1] : b[3]] for b in (bright, dark)]
        assert boxes[0].mean() > boxes[1].mean()
        assert 0.5 <= cnr(*boxes) <= 2
        assert abs(bright[0] - dark[0]) <= 64


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_constant_images_hold_no_region(value: float) -> None:
    regions = find_regions(np.full((100, 120), value, np.float32))
    assert regions.homogeneous == () and regions.pairs == ()


@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (24, 24), (40, 1000)])
def test_any_size_is_accepted(rng, shape: tuple[int, int]) -> None:
    regions = find_regions(np.clip(0.4 + 0.1 * rng.standard_normal(shape), 0, 1).astype(np.float32))
    regions.check_inside(shape)


def test_image_area_leaves_out_black_but_not_dark_speckle(rng) -> None:
    image = phantom(rng)
    image[100, 100] = 0
    area = image_area(image)
    assert area[100, 100] and area[60:320, 60:320].all()
    assert not area[:10].any()


def write(folder: Path, content: object) -> Path:
    path = folder / "regions.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_targets_are_paired_with_the_background_nearest_in_depth(tmp_path: Path) -> None:
    above, below = [0, 0, 10, 10], [80, 0, 90, 10]
    content = {"background": [above, below], "target": [[70, 20, 80, 30]], "wire": [[1, 2, 9, 9]]}
    regions = read_regions(write(tmp_path, content))
    assert regions.homogeneous == (tuple(above), tuple(below))
    assert regions.pairs == ((tuple(below), (70, 20, 80, 30)),)
    assert regions.wires == ((1, 2, 9, 9),)
    assert regions.how == "file"


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "{}",
        {"backgrund": []},
        {"background": 3},
        {"background": [[1, 2, 3]]},
        {"background": [[1, 2, 3, "4"]]},
        {"background": [[1, 2, 3, 4.5]]},
        {"target": [[0, 0, 5, 5]]},
    ],
)
def test_wrong_files_are_refused_in_one_line(tmp_path: Path, content: object) -> None:
    with pytest.raises(DataError) as refusal:
        read_regions(write(tmp_path, content))
    assert "\n" not in str(refusal.value)


def test_missing_and_binary_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        read_regions(tmp_path / "absent.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(DataError):
        read_regions(tmp_path / "binary.json")


@pytest.mark.parametrize("box", [[0, 0, 11, 5], [5, 0, 5, 5], [-1, 0, 5, 5]])
def test_boxes_outside_the_image_are_refused(tmp_path: Path, box: list[int]) -> None:
    with pytest.raises(DataError, match="10×20"):
        read_regions(write(tmp_path, {"background": [box]})).check_inside((10, 20))

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerecon.workshop.data.augment import Augment
from edgerecon.workshop.recipe_tables import AugmentTable

PLAIN = AugmentTable(flip_lateral=False)
EVERYTHING = AugmentTable(
    zoom=(0.5, 2.5),
    stretch=2,
    flip_axial=True,
    gain=(0.7, 1.3),
    offset=0.2,
    gamma=1.5,
    blur=1.5,
    blur_chance=0.5,
    jpeg=(30, 90),
    jpeg_chance=0.5,
    graphics=0.5,
)


@pytest.fixture
def image(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (96, 128), dtype=np.uint8)


def test_without_changes_a_crop_is_a_window(image: np.ndarray, rng: np.random.Generator) -> None:
    a, b = Augment(PLAIN, 32)(image, 255 - image, rng)
    assert np.array_equal(np.rint(a * 255), 255 - np.rint(b * 255))
    match = cv2.matchTemplate(image, np.rint(a * 255).astype(np.uint8), cv2.TM_SQDIFF)
    assert match.min() == 0


def test_display_settings_act_alike_on_both(image: np.ndarray, rng: np.random.Generator) -> None:
    table = AugmentTable(zoom=(0.6, 2.0), stretch=1.5, gain=(0.7, 1.3), offset=0.2, gamma=1.5, flip_axial=True)
    for _ in range(20):
        a, b = Augment(table, 32)(image, image, rng)
        np.testing.assert_array_equal(a, b)


def test_graphics_lie_over_both_alike(image: np.ndarray) -> None:
    covered = []
    for seed in range(30):
        plain = Augment(PLAIN, 64)(image, 255 - image, np.random.default_rng(seed))
        table = AugmentTable(flip_lateral=False, graphics=1)
        drawn = Augment(table, 64)(image, 255 - image, np.random.default_rng(seed))
        changed = [part != before for part, before in zip(drawn, plain, strict=True)]
        opaque = changed[0] & changed[1] & (np.abs(drawn[0] - drawn[1]) < 1e-6)
        covered.append(float(opaque.mean()))
        assert (changed[0] | changed[1]).any()
    assert np.median(covered) > 0 and max(covered) > 0.2  # thin text and lines, and whole half planes


def test_blur_and_jpeg_touch_the_input_alone(image: np.ndarray) -> None:
    table = AugmentTable(flip_lateral=False, blur=1.5, blur_chance=1, jpeg_chance=1)
    changed, target = Augment(table, 32)(image, image, np.random.default_rng(5))
    same, plain = Augment(PLAIN, 32)(image, image, np.random.default_rng(5))
    np.testing.assert_array_equal(same, plain)
    np.testing.assert_array_equal(target, plain)
    assert 0.01 < np.abs(changed - plain).mean()


@pytest.mark.parametrize("zoom", [0.5, 2.0])
def test_zoom_scales_the_grain(zoom: float, rng: np.random.Generator) -> None:
    grain = cv2.GaussianBlur(rng.random((256, 256)), (0, 0), 3)
    image = np.uint8(255 * (grain - grain.min()) / np.ptp(grain))
    table = AugmentTable(zoom=(zoom, zoom), flip_lateral=False)

    def width(crop: np.ndarray) -> float:
        """Correlation length from the ratio of an image's variance to its gradient's."""
        return float(crop.std() / np.diff(crop, axis=1).std())

    reference = np.mean([width(Augment(PLAIN, 96)(image, image, rng)[0]) for _ in range(6)])
    found = np.mean([width(Augment(table, 96)(image, image, rng)[0]) for _ in range(6)])
    assert found / reference == pytest.approx(zoom, rel=0.15)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(16, 64), st.integers(64, 100), st.integers(64, 100))
def test_any_draw_is_in_range_and_repeatable(seed: int, crop: int, height: int, width: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    augment = Augment(EVERYTHING, crop)
    a, b = augment(image, image[::-1].copy(), np.random.default_rng(seed))
    for part in (a, b):
        assert part.dtype == np.float32 and part.shape == (crop, crop)
        assert part.min() >= 0 and part.max() <= 1
    again = augment(image, image[::-1].copy(), np.random.default_rng(seed))
    np.testing.assert_array_equal(a, again[0])
    np.testing.assert_array_equal(b, again[1])

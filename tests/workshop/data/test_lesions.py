from __future__ import annotations

import numpy as np
import pytest

from edgerecon.workshop.data.lesions import CLASSES, contrast, labelled_sample


@pytest.fixture(scope="module")
def samples() -> list:
    return [labelled_sample(np.random.default_rng([2, i]), i % 3, 48, looks=2) for i in range(12)]


def test_frames_have_the_size_and_differ_by_look(samples: list) -> None:
    for sample in samples:
        assert sample.speckled.shape == sample.clean.shape == (2, 48, 48)
        assert sample.speckled.dtype == np.uint8 and sample.radius.shape == (48, 48)
        assert (sample.speckled[0] != sample.speckled[1]).mean() > 0.5
        assert 0.01 < (sample.radius < 1).mean() < 0.25


def test_the_known_contrast_shows_in_the_clean_image(samples: list) -> None:
    for sample in samples:
        shown = contrast(sample.clean[0] / 255.0, sample.radius.astype(np.float32))
        if CLASSES[sample.label] == "absent":
            assert sample.contrast_db == 0 and abs(shown) < 0.2
        elif CLASSES[sample.label] == "cyst":
            assert sample.contrast_db < -15 and shown < -0.1
        else:
            assert abs(sample.contrast_db) > 4
    solid = [s for s in samples if CLASSES[s.label] == "solid"]
    signs = [
        np.sign(contrast(s.clean[0] / 255.0, s.radius.astype(np.float32))) == np.sign(s.contrast_db) for s in solid
    ]
    assert np.mean(signs) >= 0.75  # tissue around may be layered


def test_the_same_generator_gives_the_same_scene() -> None:
    a, b = (labelled_sample(np.random.default_rng(5), 1, 32) for _ in range(2))
    assert np.array_equal(a.speckled, b.speckled) and a.contrast_db == b.contrast_db


def test_contrast_is_inside_less_around() -> None:
    y, x = np.mgrid[:64, :64]
    radius = np.hypot(x - 32, y - 32) / 12
    image = np.where(radius < 1, 0.2, 0.7)
    assert contrast(image, radius) == pytest.approx(-0.5)


def test_other_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="label"):
        labelled_sample(np.random.default_rng(0), 3, 32)

from __future__ import annotations

import numpy as np
import pytest

from edgerecon.workshop.data.anatomy import Kind, subject
from edgerecon.workshop.data.geometry_augment import random_affine


@pytest.mark.parametrize("kind", ["brain", "chest"])
def test_a_subject_is_its_seed_and_its_slices_belong_together(kind: Kind) -> None:
    one, again, other = (subject(np.random.default_rng(seed), kind, 32, 25) for seed in (1, 1, 2))
    assert one.shape == (25, 32, 32) and one.dtype == np.float32 and one.min() >= 0 and one.max() <= 1
    assert np.array_equal(one, again)
    near, far = np.mean((one[1:] - one[:-1]) ** 2), np.mean((one - other) ** 2)
    assert 0 < near < 0.6 * far


@pytest.mark.parametrize("kind", ["brain", "chest"])
def test_nothing_lies_outside_the_circle(kind: Kind) -> None:
    axis = np.arange(64) - 32
    outside = np.hypot(*np.meshgrid(axis, axis)) >= 32
    for seed in range(6):
        assert not subject(np.random.default_rng(seed), kind, 64, 2)[:, outside].any()


def test_finer_pixels_show_the_same_body() -> None:
    small, large = (subject(np.random.default_rng(4), "brain", size, 1)[0] for size in (64, 128))
    shrunk = large.reshape(64, 2, 64, 2).mean((1, 3))
    assert np.corrcoef(small.ravel(), shrunk.ravel())[0, 1] > 0.97


def test_an_affine_map_moves_all_images_alike(rng: np.random.Generator) -> None:
    image = subject(np.random.default_rng(4), "brain", 64, 1)[0]
    a, b = random_affine((image, image / 2), rng, moved=1)
    np.testing.assert_allclose(b, a / 2, atol=0.02)  # what overshoots is clipped
    assert a.shape == image.shape and not np.allclose(a, image)


def test_a_quarter_turn_is_exact() -> None:
    image = np.random.default_rng(0).random((9, 9)).astype(np.float32)

    class Turned(np.random.Generator):
        def uniform(self, low: float, high: float, size: int | None = None) -> float | np.ndarray:
            return 90.0 if (low, high) == (-90, 90) else (np.zeros(size) if size else 0.0)

    (found,) = random_affine((image,), Turned(np.random.PCG64(0)), turn=90, shift=0, zoom=(1, 1), flip=False, moved=1)
    np.testing.assert_allclose(found, np.rot90(image), atol=1e-4)

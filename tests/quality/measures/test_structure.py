"""Structure kept, calibrated on simulated pairs: the speckle-free truth keeps all structure and a blur does not."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from edgerecon.quality.measures.before_after import BeforeAfter
from edgerecon.quality.measures.ridges import SCALES
from edgerecon.quality.measures.structure import structure_sums
from edgerecon.workshop.data.display.sample import simulate_sample

PAIRS = 24
Image = np.ndarray


@pytest.fixture(scope="module")
def pairs() -> list[tuple[Image, Image]]:
    """(shown, expected) frames of the display simulator in [0, 1]."""
    made = [simulate_sample(5, index)[0] for index in range(PAIRS)]
    return [(one["shown"].astype(np.float32) / 255, one["expected"].astype(np.float32) / 255) for one in made]


def pooled(pairs: list[tuple[Image, Image]], method: Callable[[Image, Image], Image]) -> float:
    """Mean over scales of the ratio of sums over all pairs."""
    ratios = []
    for sigma in SCALES:
        sums = np.sum([structure_sums(BeforeAfter(a, method(a, b)), sigma) for a, b in pairs], axis=0)
        ratios.append(sums[0] / sums[1])
    return float(np.mean(ratios))


def test_the_truth_keeps_all_structure(pairs) -> None:
    assert pooled(pairs, lambda shown, expected: expected) == pytest.approx(1.0, abs=0.03)


def test_a_blur_loses_structure_and_patches_lie_between(pairs) -> None:
    blurred = pooled(pairs, lambda shown, _: cv2.GaussianBlur(shown, (0, 0), 2))
    patches = pooled(pairs, lambda shown, _: non_local_means(shown))
    assert blurred < 0.85
    assert blurred < patches < 1.0


def non_local_means(image: Image) -> Image:
    return cv2.fastNlMeansDenoising((image * 255).round().astype(np.uint8), None, 16, 7, 21).astype(np.float32) / 255

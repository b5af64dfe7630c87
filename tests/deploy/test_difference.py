"""Differences between two runs of a model: of grey levels, and of classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgerecon.deploy.difference import difference
from edgerecon.modelfile.catalogue import find_file

PICTURE = find_file("compact-despeckle").spec
CLASSES = replace(PICTURE, overlay="labels")


def test_greatest_difference_of_grey_levels_counts() -> None:
    assert difference(PICTURE, np.float32([[0.5, 0.25]]), np.float32([[0.5, 0.5]])) == 0.25


def test_share_of_pixels_of_another_class_counts() -> None:
    found, expected = np.zeros((10, 10), np.float32), np.zeros((10, 10), np.float32)
    found[0, :3] = np.float32([1, 2, 200]) / 255
    assert difference(CLASSES, found, expected) == pytest.approx(0.03)


def test_nan_is_a_difference_of_either_kind() -> None:
    nan = np.full((1, 1), np.nan, np.float32)
    assert np.isnan(difference(PICTURE, nan, np.zeros_like(nan))) and difference(CLASSES, nan, np.zeros_like(nan)) == 1

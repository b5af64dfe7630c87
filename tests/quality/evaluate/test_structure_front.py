"""The front of structure kept against speckle left."""

from __future__ import annotations

import pytest

from edgerecon.quality.evaluate.structure_front import IDENTITY, front, structure_at, structure_score


def test_a_point_that_another_beats_in_both_is_left_out() -> None:
    assert front([(0.9, 0.4), (0.8, 0.5), (0.7, 0.3)]) == [IDENTITY, (0.9, 0.4), (0.7, 0.3)]


def test_sharpening_counts_as_much_as_loss() -> None:
    assert structure_score(1.1) == pytest.approx(structure_score(0.9))
    assert (1.4, 0.4) not in front([(1.4, 0.4), (0.9, 0.4)])


def test_the_front_is_linear_between_its_points() -> None:
    points = front([(0.9, 0.4), (0.7, 0.3)])
    assert structure_at(points, 0.35) == pytest.approx(0.8)
    assert structure_at(points, 0.1) == pytest.approx(0.7)
    assert structure_at(points, 2.0) == pytest.approx(1.0)


def test_points_without_a_figure_are_left_out() -> None:
    assert front([(float("nan"), 0.2)]) == [IDENTITY]

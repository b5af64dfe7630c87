"""What a live source lost is counted exactly, whatever is lost."""

from __future__ import annotations

import math
from random import Random

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from edgerecon.stream.sources.live.gaps import Gaps


@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(1, 198)), st.sets(st.integers(1, 198)), st.integers(0, 2**32 - 1))
def test_by_count_every_loss_is_counted_across_breaks(lost, damaged, start) -> None:
    gaps, counted = Gaps(), 0
    for number in range(200):
        if number in lost:
            if number % 7 == 0:
                gaps.broke()
        elif number in damaged:
            gaps.damaged()
        else:
            counted += gaps.before((start + number) % 2**32, 0.0)
    assert counted == len(lost)


@settings(max_examples=40, deadline=None)
@example({88}, 0.125, 37)
@given(st.sets(st.integers(8, 98)), st.floats(0.004, 0.2), st.integers(0, 99))
def test_by_time_losses_are_counted_between_two_frames(lost, period_s, seed) -> None:
    # An isolated loss: the period is known before it, and no two steps in a row are as long.
    assume(all(other == one or abs(other - one) > 2 for one in lost for other in lost))
    gaps, counted, random = Gaps(), 0, Random(seed)
    for number in range(100):
        if number not in lost:
            counted += gaps.before(None, 1e9 + (number + 0.04 * random.uniform(-1, 1)) * period_s)
    assert counted == len(lost)


def test_pauses_new_rates_and_clocks_set_back_are_no_losses() -> None:
    gaps = Gaps()
    times = [100 + n / 50 for n in range(10)]
    times += [times[-1] + 8 + n / 50 for n in range(10)]  # frozen for 8 s
    times += [50 + n / 50 for n in range(10)]  # set back
    times += [times[-1] + 1.3 / 50 * (n + 1) for n in range(10)]  # a lower rate
    times += [times[-1]] * 3 + [0.0, 0.0]
    assert [gaps.before(None, time_s) for time_s in times] == [0] * len(times)


def test_a_broken_connection_loses_unless_the_count_goes_on() -> None:
    gaps = Gaps()
    gaps.before(1, 0.0)
    gaps.broke()
    assert gaps.before(2, 0.0) == 0
    gaps.broke()
    assert gaps.before(1, 0.0) == 1  # a new count
    timed = Gaps()
    for number in range(3):
        timed.before(None, 10 + number / 10)
    timed.broke()
    assert timed.before(None, 15.0) == math.floor((15.0 - 10.2) * 10 + 0.5) - 1
    timed.broke()
    assert timed.before(None, 0.0) == 1

"""Counts the frames that a live source lost before they came here."""

from __future__ import annotations

PAUSE_S = 1.0
"""A longer silence of an unbroken connection is a frozen image or a probe put down, not frames that were lost."""

_AGREE = 0.2
_SHARE = 0.25
"""The weight of a new step in the period that is known."""
_RESTART = 1 << 20
"""A count that jumps by more began anew."""


class Gaps:
    """Finds what is missing between one frame and the next.

    By the sender's index where it counts, which is exact. Else by its timestamps: the frame period is what two steps
    in a row agree on, and a step of n periods (within a fifth of one) has lost n - 1 frames. That is exact for senders
    that stamp at a steady rate. A clock or a count that goes backwards began anew: nothing is known to be lost.
    """

    def __init__(self) -> None:
        self._index: int | None = None
        self._time_s: float | None = None
        self._step_s = 0.0
        self._period_s = 0.0
        self._broken = False
        self._damaged = 0
        self._invalid = 0

    def broke(self) -> None:
        """The connection was lost: the next frame follows at least one lost frame, unless a count says otherwise."""
        self._broken = True

    def damaged(self) -> None:
        """A frame came that could not be read: it is a fault, not a gap."""
        self._damaged += 1

    def invalid(self) -> None:
        """A frame came of which the sender says that it is none: it is a gap, and never a fault."""
        self._invalid += 1

    def before(self, index: int | None, time_s: float) -> int:
        """Frames lost before this one.

        Args:
            index: the sender's count, or None. time_s: the sender's time; 0 when unknown.
        """
        lost = self._by_index(index)
        least = max(int(self._broken and lost is None), self._invalid)
        if lost is None:
            lost = self._by_time(time_s)
        else:
            self._step_s = 0.0
        lost = max(lost - self._damaged, least)
        self._broken, self._damaged, self._invalid = False, 0, 0
        self._index, self._time_s = index, time_s or None
        return lost

    def _by_index(self, index: int | None) -> int | None:
        """None when there is no count to go by."""
        if index is None or self._index is None or index == self._index:
            return None
        lost = (index - self._index) % 2**32 - 1
        return lost if lost < _RESTART else int(self._broken)

    def _by_time(self, time_s: float) -> int:
        step = time_s - self._time_s if self._time_s and time_s else 0.0
        before, self._step_s = self._step_s, step
        if step <= 0 or (step > PAUSE_S and not self._broken):
            self._step_s = 0.0
            return 0
        if before > 0 and abs(step - before) < _AGREE * step:
            steady = abs(step - self._period_s) < _AGREE * step
            self._period_s += (step - self._period_s) * (_SHARE if steady else 1)  # single steps jitter
            return 0
        if not self._period_s:
            return 0
        periods = step / self._period_s
        return max(0, round(periods) - 1) if abs(periods - round(periods)) < _AGREE else 0

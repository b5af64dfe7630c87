"""The quality ladder: full → pruned → passthrough, down after sustained misses, up again after sustained slack."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from edgerecon.engines.base import Engine
from edgerecon.stream.accounting.counters import Counters

PASSTHROUGH = "passthrough"

_DOWN_S, _UP_S = 0.5, 3.0
_DOWN_AT_LEAST, _UP_AT_LEAST = 8, 30
_FILL = 0.9
_PATIENCE_AT_MOST = 64

_log = logging.getLogger(__name__)


@dataclass
class Rung:
    """One quality of the ladder.

    Attributes:
        engine: None shows frames as captured: of the passthrough, or of an engine that is being replaced.
        absent: why there is no engine; None shows frames as they are because that was asked for.
        typical_ms: the shortest time that a frame took on it, or None when not known for this frame size.
    """

    name: str
    engine: Engine | None
    typical_ms: float | None = None
    absent: str | None = None


class Ladder:
    """Decides from the fate of frames which engine runs next.

    A step down follows when half of the frames of half a second (eight at least) missed their deadline or were
    dropped. A step up follows when for three seconds (30 frames at least) none did and the time that the better engine
    needed at its best, added to what the rest of the way took, fits into 90 % of the budget. A step up that had to be
    taken back doubles these three seconds, up to 64 times, until a step up holds: so that a load which comes and goes
    does not make the picture flicker. The presenting thread observes, the processing thread reads ``rung``.

    Args:
        engines: from the best to the quickest; with ``steps`` the passthrough comes after them.
        budget_ms: what a frame may take: the deadline, or the frame period where it is shorter.
        steps: False keeps to the first engine.
    """

    def __init__(
        self, engines: Sequence[Engine], counters: Counters, period_s: float, budget_ms: float, steps: bool
    ) -> None:
        self.rungs = [Rung(engine.spec.model.name, engine) for engine in engines]
        if steps or not engines:
            self.rungs.append(Rung(PASSTHROUGH, None, absent=PASSTHROUGH if engines else None))
        self.at = 0
        self._counters = counters
        self._budget_ms = budget_ms
        self._window = max(_DOWN_AT_LEAST, round(_DOWN_S / period_s))
        self._calm = max(_UP_AT_LEAST, round(_UP_S / period_s))
        self._patience = 1
        self._on_trial = False
        self._shape: tuple[int, ...] = ()
        self._frames = self._missed = self._calm_frames = 0
        self._rest_ms = 0.0
        counters.ladder = tuple(rung.name for rung in self.rungs)

    @property
    def rung(self) -> Rung:
        """The rung on which the stream stands."""
        return self.rungs[self.at]

    def observe(self, missed: int, infer_ms: float | None, rest_ms: float, shape: tuple[int, ...]) -> None:
        """Take note of a frame that reached the sinks.

        Args:
            missed: how many of this frame and of those dropped since the one before it missed their deadline.
            infer_ms: what the engine took, None when it gave nothing to show.
            rest_ms: what the rest of the way took.
            shape: of the frame; what is known of the engines' times holds for one size.
        """
        if len(self.rungs) == 1:
            return
        if shape != self._shape:
            self._shape = shape
            for rung in self.rungs:
                rung.typical_ms = None
            self._begin()
        self._frames += 1
        self._missed += missed
        self._rest_ms = max(self._rest_ms, rest_ms)
        if infer_ms is not None:
            self.rung.typical_ms = min(infer_ms, self.rung.typical_ms or infer_ms)
        self._calm_frames = 0 if missed else self._calm_frames + 1
        self._decide()

    def _decide(self) -> None:
        if 2 * self._missed >= self._window and self.at + 1 < len(self.rungs):
            if self._on_trial:
                self._patience = min(2 * self._patience, _PATIENCE_AT_MOST)
            self._on_trial = False
            self._step(+1, f"{self._missed} frames were late or dropped")
        elif self._calm_frames >= self._calm * (1 if self._on_trial else self._patience):
            if self._on_trial:
                self._on_trial, self._patience = False, 1
            if self.at and self._fits(self.rungs[self.at - 1]):
                self._step(-1, f"none of {self._calm_frames} frames was late or dropped")
                self._on_trial = True
            self._begin()
        elif self._frames >= self._window:
            self._frames = self._missed = 0

    def _fits(self, better: Rung) -> bool:
        if better.engine is None:
            return False  # it is being replaced
        return better.typical_ms is None or self._rest_ms + better.typical_ms <= _FILL * self._budget_ms

    def _step(self, by: int, why: str) -> None:
        before = self.rung.name
        self.at += by
        self._counters.rung = self.at
        if by > 0:
            self._counters.steps_down += 1
        else:
            self._counters.steps_up += 1
        _log.warning("quality steps %s from %s to %s: %s", "down" if by > 0 else "up", before, self.rung.name, why)
        self._begin()

    def _begin(self) -> None:
        """Look at the frames from here on."""
        self._frames = self._missed = self._calm_frames = 0
        self._rest_ms = 0.0

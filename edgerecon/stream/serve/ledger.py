"""The account of a stream over all its lives: restarts and lost machines take nothing out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any


@dataclass(frozen=True)
class Tally:
    """Every frame's fate: ``frames_in == presented + dropped + failed + lost + in_flight``.

    Attributes:
        late, raw_shown: of the presented. gaps: lost before they reached us; in none of the others.
        lost: on their way when their machine was lost, or when a stream could not be ended in order.
    """

    frames_in: int = 0
    presented: int = 0
    dropped: int = 0
    failed: int = 0
    late: int = 0
    raw_shown: int = 0
    gaps: int = 0
    lost: int = 0

    @classmethod
    def of(cls, counts: Mapping[str, Any]) -> Tally:
        """From a snapshot of ``Counters``, or any other mapping with these names."""
        return cls(**{each.name: int(counts.get(each.name, 0)) for each in fields(cls)})

    @property
    def in_flight(self) -> int:
        """Frames on their way: neither presented nor dropped, failed or lost."""
        return self.frames_in - self.presented - self.dropped - self.failed - self.lost

    @property
    def settled(self) -> int:
        """Frames whose fate is known."""
        return self.frames_in - self.in_flight

    @property
    def missed(self) -> int:
        """Frames that were not shown in time."""
        return self.late + self.dropped + self.failed + self.lost

    def closed(self) -> Tally:
        """The account of a stream that is over: what was on its way is lost."""
        return replace(self, lost=self.lost + self.in_flight)

    def __add__(self, other: Tally) -> Tally:
        return Tally(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(Tally)})


@dataclass(frozen=True)
class Look:
    """What a stream says of itself at one moment.

    Attributes:
        state: "starting", "waiting" (its live source is not there yet), "running", "stalled" (its source gives no
            frames), "ended" or "failed".
        error: in one line why it failed, or None. stopped: it was ended from outside.
        rung: name of the engine that runs, as in ``Counters.ladder``.
        latency_ms: of the last frame. report: ``StreamReport`` as plain values, once it has ended in order.
        addresses: where its sinks can be looked at, tokens that were made for them included: for the screen alone.
        place: the machine it runs on, where there are several. lives: how often it was started, there or elsewhere.
    """

    state: str = "starting"
    error: str | None = None
    stopped: bool = False
    tally: Tally = Tally()
    rung: str = ""
    latency_ms: float = 0.0
    report: dict[str, Any] | None = field(default=None, repr=False)
    place: str = ""
    addresses: tuple[str, ...] = field(default=(), repr=False)
    lives: int = 1

    @property
    def has_ended(self) -> bool:
        """Whether the stream is over, in order or not."""
        return self.state in ("ended", "failed")

    def to_plain(self) -> dict[str, Any]:
        """A plain dict of what JSON knows."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Look:
        """The look that ``plain`` describes, as it comes from another process."""
        return cls(**{**plain, "tally": Tally.of(plain["tally"]), "addresses": tuple(plain["addresses"])})

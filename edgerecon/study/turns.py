"""How the time of a long study is shared: every network a first turn, then those most that still improve.

A round goes through the systems, and in them through their networks, one at a time. In the first round a network that
was never trained takes as many steps as in the quick profile, however long that takes; so does one that starts from
another network, whenever that one has changed. A later round deals out half of the time that is left, in proportion to
the share by which the error on held-out scenes fell in a network's last turn; one that has reached its plateau gets
none. What a round has left over, the next deals out. Every round measures its systems anew, so that none is short.
Where networks of a system are named, and were trained before, the time is theirs alone, and one round takes it all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from edgerecon.core.errors import UsageError
from edgerecon.study.claims import STATED
from edgerecon.study.plateau import HISTORY, History, Turn, history_of, summary
from edgerecon.study.results import Trained

ROUND_S, SHORTEST_S, LEAST_S = 3600.0, 120.0, 20.0
"""Seconds of a round without a budget or with a long one, of the last rounds, and of the shortest turn that is worth
starting."""
STATED_NETWORKS = {f"{one.system}/{name}" for one in STATED for name in (*one.better, *one.worse)}
"""The networks that a claim waits for: they may be named before they were ever trained."""
FLOOR = 1e-3
"""The least gain that a network is credited with: one that did not improve in its last turn is still trained while
time is left."""


class Turns:
    """The clock of one run, and what each network may take of it.

    Args:
        folder: of the study. budget_s: wall clock of this run; None: until every network has reached its plateau.
        on_progress: called with (what, seconds used, seconds of the budget). clock: seconds.
        named: SYSTEM/NETWORK, of those systems whose time is for a few networks.
    """

    def __init__(
        self,
        folder: Path,
        budget_s: float | None,
        on_progress: Callable[[str, int, int], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        named: Sequence[str] = (),
    ) -> None:
        self.folder, self.budget_s, self.clock = folder, budget_s, clock
        self.named = tuple(named)
        self.progress = on_progress or (lambda what, done, total: None)
        self.start = clock()
        self.shares: dict[str, float] = {}
        self.steps = -1

    @property
    def used_s(self) -> float:
        """Of this run."""
        return self.clock() - self.start

    @property
    def left_s(self) -> float:
        """Of the budget."""
        return float("inf") if self.budget_s is None else max(0.0, self.budget_s - self.used_s)

    def networks(self) -> dict[str, History]:
        """SYSTEM/NETWORK → how far it has come, of every network that was ever trained in the folder."""
        found = {}
        for path in sorted(self.folder.glob(f"*/*{HISTORY}")):
            name = path.name.removesuffix(HISTORY)
            history = history_of(path.with_name(f"{name}.pt"))
            if history is not None:
                found[f"{path.parent.name}/{name}"] = history
        return found

    def summaries(self, system: str) -> dict[str, Trained]:
        """SYSTEM/NETWORK → how far it has come, ready for the report, of one system's networks."""
        found = {name: one for name, one in self.networks().items() if name.startswith(f"{system}/")}
        return {name: summary(name.partition("/")[2], one) for name, one in found.items()}

    def begin_round(self, systems: tuple[str, ...]) -> bool:
        """Deal out the next round; False when nothing is left to train, no time to train it in, or the last round
        trained nothing (what stands in the folder may be of networks that no system has any more).

        Raises:
            UsageError: a network is named that its system does not have.
        """
        known = self._taking_part(systems)
        seconds = self.left_s if self._are_named(known) else min(ROUND_S, max(self.left_s / 2, SHORTEST_S))
        self.shares = shares(known, seconds)
        steps, self.steps = self.steps, sum(one.done for one in known.values())
        return self.left_s > 0 and bool(self.shares) and self.steps != steps

    def _taking_part(self, systems: tuple[str, ...]) -> dict[str, History]:
        found: dict[str, History] = {}
        for system in systems:
            known = {name: one for name, one in self.networks().items() if name.startswith(f"{system}/")}
            named = [name for name in self.named if name.startswith(f"{system}/")]
            if known and (wrong := [name for name in named if name not in known and name not in STATED_NETWORKS]):
                raise UsageError(f"there is no network '{wrong[0]}' in the study: choose from {', '.join(known)}")
            found |= {name: known[name] for name in named if name in known} if named else known
        return found

    def turn(self, name: str, first: int) -> Turn:
        """What a network may take now. first: steps of the quick profile, which a new training takes in any case."""
        return Turn(self.shares.get(name, 0.0), 0 if self._waits_for_named(name) else first, self.left_s)

    def reaches(self, name: str) -> bool:
        """Whether a network was trained before, or can be now: not where only others of its system are named."""
        return self._is_known(name) or (self.left_s > 0 and name in (self._named_beside(name) or (name,)))

    def _waits_for_named(self, name: str) -> bool:
        """Whether only other networks of its system are named, which were all trained before."""
        named = self._named_beside(name)
        return bool(named) and name not in named and all(map(self._is_known, named))

    def _named_beside(self, name: str) -> list[str]:
        """The named networks of its system."""
        system = name.partition("/")[0]
        return [one for one in self.named if one.startswith(f"{system}/")]

    def _is_known(self, name: str) -> bool:
        return (self.folder / f"{name}{HISTORY}").is_file()

    def _are_named(self, known: Mapping[str, History]) -> bool:
        """Whether every network that takes part is named, so that no round need leave time for another."""
        return self.budget_s is not None and bool(known) and all(name in self.named for name in known)

    def has_work(self, system: str) -> bool:
        """Whether a network of the system has a turn in this round."""
        return any(name.partition("/")[0] == system for name in self.shares)


def shares(networks: Mapping[str, History], seconds: float) -> dict[str, float]:
    """Seconds of a round → network → its turn. Turns too short to matter go to the networks that improve most."""
    gains = {name: max(one.gain, FLOOR) for name, one in networks.items() if not one.finished}
    for name in sorted(gains, key=lambda one: gains[one])[:-1]:
        if seconds * gains[name] / sum(gains.values()) >= LEAST_S:
            break
        del gains[name]
    total = sum(gains.values())
    return {name: seconds * gain / total for name, gain in gains.items()}

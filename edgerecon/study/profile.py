"""How large a study is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

from edgerecon.core.errors import UsageError

Size = Literal["smoke", "quick", "long", "full"]
PROFILES: tuple[Size, ...] = ("smoke", "quick", "long", "full")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Profile:
    """smoke: seconds, for the tests, its figures mean nothing. quick: 40 minutes on 2 cores. full: one GPU, hours.

    long: hours on 2 cores: the networks of quick and, where nothing else is said, its scenes, each network trained
    until it stops improving, see ``turns``.
    """

    name: Size

    def pick(self, *, smoke: Value, quick: Value, full: Value, long: Value | None = None) -> Value:
        """The value for this size. long: default: that of quick."""
        return {"smoke": smoke, "quick": quick, "long": quick if long is None else long, "full": full}[self.name]


def profile(name: str) -> Profile:
    """Raises UsageError for an unknown name."""
    for known in PROFILES:
        if name == known:
            return Profile(known)
    raise UsageError(f"there is no profile '{name}': choose quick, long or full")

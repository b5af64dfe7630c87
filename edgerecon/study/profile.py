"""How large a study is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

from edgerecon.errors import UsageError

Size = Literal["smoke", "quick", "full"]
PROFILES: tuple[Size, ...] = ("smoke", "quick", "full")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Profile:
    """smoke: seconds, for the tests, its figures mean nothing. quick: 40 minutes on 2 cores. full: one GPU, hours."""

    name: Size

    def pick(self, *, smoke: Value, quick: Value, full: Value) -> Value:
        """The value for this size."""
        return {"smoke": smoke, "quick": quick, "full": full}[self.name]


def profile(name: str) -> Profile:
    """Raises UsageError for an unknown name."""
    for known in PROFILES:
        if name == known:
            return Profile(known)
    raise UsageError(f"there is no profile '{name}': choose quick or full")

"""A clock that the watchdog over engines looks at, for tests in which calls hang."""

from __future__ import annotations

import pytest

from tests.support.stream_fakes import HangClock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HangClock:
    made = HangClock()
    for module in ("process", "replace"):
        monkeypatch.setattr(f"edgerecon.stream.loop.{module}.monotonic", made)
    return made

"""What stands against a release is said before anything is tagged."""

from __future__ import annotations

import pytest

from tools.release import faults

READY = ("1.2.0", "## 1.2.0 (2026-12-01)\n", "version: 1.2.0\n", "", "v1.1.0\n")


def test_consistent_version_is_ready() -> None:
    assert faults(*READY) == []


@pytest.mark.parametrize(
    ("place", "text", "why"),
    [
        (1, "## 1.2.0 (unreleased)\n", "CHANGELOG.md"),
        (1, "## Unreleased\n\n## 1.2.0 (2026-12-01)\n", "Unreleased"),
        (1, "## 1x2.0 (2026-12-01)\n", "CHANGELOG.md"),
        (2, "version: 1.1.0\n", "CITATION.cff"),
        (3, " M README.md\n", "commit"),
        (4, "v1.1.0\nv1.2.0\n", "tag"),
    ],
)
def test_fault_is_named(place: int, text: str, why: str) -> None:
    facts = list(READY)
    facts[place] = text
    (fault,) = faults(*facts)
    assert why in fault

"""What ``serve`` says at the end of each stream, for machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from edgerecon.stream.serve.ledger import Look


def served(looks: Mapping[str, Look]) -> dict[str, Any]:
    """JSON's form: ``{"streams": [...], "host": ...}``.

    A stream has ``name, state, error, place, lives``, its counts over all lives (``frames_in == presented + dropped +
    failed + lost + in_flight``; ``late, raw_shown, gaps``), ``deadline_miss_rate`` (late, dropped, failed or lost) and
    ``last``: the ``StreamReport`` of its last life without the host, or None.
    """
    from edgerecon.hardware.host import host_profile

    return {"streams": [_one(name, look) for name, look in looks.items()], "host": host_profile()}


def _one(name: str, look: Look) -> dict[str, Any]:
    tally = look.tally
    last = look.report and {key: value for key, value in look.report.items() if key != "host"}
    return {
        "name": name,
        "state": look.state,
        "error": look.error,
        "place": look.place,
        "lives": look.lives,
        **asdict(tally),
        "in_flight": tally.in_flight,
        "deadline_miss_rate": tally.missed / tally.frames_in if tally.frames_in else 0.0,
        "last": last,
    }


def failures(looks: Mapping[str, Look]) -> str | None:
    """Which streams failed or did not end; why was logged when it happened. None when all is well."""
    names = [f"'{name}'" for name, look in looks.items() if look.error or not look.has_ended]
    return f"{len(names)} of {len(looks)} streams failed: {', '.join(names)}" if names else None

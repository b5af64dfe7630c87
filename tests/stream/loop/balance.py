"""Captures of every kind, and that a report accounts for all of them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from edgerecon.stream.loop.report import StreamReport
from edgerecon.stream.sources.base import Capture


def balanced(report: StreamReport) -> bool:
    return (
        report.frames_in == report.presented + report.dropped + report.failed
        and report.dropped == sum(report.drops.values())
        and report.failed == sum(report.failures.values())
        and report.late <= report.presented
        and report.raw_shown <= report.presented
        and sum(report.latency_histogram["counts"]) == report.presented
    )


kinds = st.sampled_from(
    ["good", "good", "resized", "fault", "nan", "colour", "empty", "doubtful", "object", "nopixels"]
)


def capture_of(kind: str, index: int) -> Capture:
    image = np.full((8, 12), index % 256, np.uint8)
    return {
        "good": Capture(image),
        "resized": Capture(np.full((5 + index % 3, 9), 7, np.uint16)),
        "fault": Capture(None, "torn"),
        "nan": Capture(np.full((8, 12), np.nan, np.float32)),
        "colour": Capture(np.repeat(image[..., None], 3, 2)),
        "empty": Capture(np.zeros((0, 4), np.uint8)),
        "doubtful": Capture(image, "half of it is old"),
        "object": Capture(np.full((8, 12), None, object)),
        "nopixels": Capture(None),
    }[kind]

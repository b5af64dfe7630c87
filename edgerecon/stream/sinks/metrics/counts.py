"""What is counted of a stream, and its words: the same for Prometheus and OpenTelemetry."""

from __future__ import annotations

COUNTS = {
    "frames_in": "Frames captured.",
    "presented": "Frames shown, reconstructed or raw.",
    "late": "Frames shown after their deadline.",
    "raw_shown": "Frames shown raw because they could not be processed.",
    "dropped": "Frames overtaken or abandoned.",
    "failed": "Frames for which nothing could be shown.",
    "gaps": "Frames lost before they reached the stream.",
}
"""Attribute of ``Counters`` → description."""

LATENCY = "From capture to presentation."
BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.016, 0.02, 0.025, 0.033, 0.04, 0.05, 0.066, 0.1, 0.2, 0.5, 1.0)


def count_name(counter: str) -> str:
    """ "frames_in" → "frames", as metrics call it."""
    return counter.removesuffix("_in")

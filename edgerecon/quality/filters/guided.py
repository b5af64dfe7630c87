"""The guided filter."""

from __future__ import annotations

from edgerecon.core.frame import Image
from edgerecon.quality.filters.filter import Filter
from edgerecon.stream.filters.denoising import guided_by_itself


def guided(image: Image, epsilon: float, radius: int = 4) -> Image:
    """As a stream's, see ``edgerecon.stream.filters.denoising``."""
    return guided_by_itself(image, epsilon, int(radius))


FILTERS = (
    Filter(
        "guided filter",
        guided,
        tuple({"epsilon": e, "radius": r} for r in (2, 4) for e in (0.001, 0.003, 0.01, 0.03)),
    ),
)

"""Find the parameters at which a classical filter does best against targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

from edgerecon.core.frame import Image
from edgerecon.quality.filters import contrast
from edgerecon.quality.filters.classical import Pair
from edgerecon.quality.filters.filter import Parameters, filters
from edgerecon.quality.measures.full_reference import match_gain_offset, psnr

COARSE_PAIRS = 4
"""How many pairs the whole grid is tried on; only the best is refined on all."""

REFINED = ("sigma_range", "h", "weight", "iterations", "sigma", "epsilon")
"""Continuous strengths, refined around the best grid point."""


def matched_psnr(output: Image, target: Image) -> float:
    """PSNR in dB after a least-squares gain and offset."""
    return psnr(match_gain_offset(output, target), target)


def tune(
    name: str, pairs: Sequence[Pair], score: Callable[[Image, Image], float] = matched_psnr
) -> tuple[Parameters, float]:
    """Coarse-to-fine search: the whole grid on the first few pairs, then finer strengths around its best on all.

    Args:
        name: a key of ``filters()`` or ``contrast.CONTRASTS``.
        pairs: (input, target) images, at least one.
        score: of (output, target), higher is better; its mean decides.

    Returns:
        The best parameters and their mean score on all pairs.
    """
    known = filters().get(name)
    run = known.run if known else contrast.CONTRASTS[name]
    grid = known.grid if known else contrast.GRIDS[name]

    def mean_score(parameters: Parameters, on: Sequence[Pair]) -> float:
        return fmean(score(run(image, **parameters), target) for image, target in on)

    best = max(grid, key=lambda parameters: mean_score(parameters, pairs[:COARSE_PAIRS]))
    strengths = [key for key in best if key in REFINED]
    finer = [
        {**best, key: float(f"{best[key] * factor:.3g}")} for key in strengths for factor in (0.7, 0.84, 1.19, 1.4)
    ]
    scores = [(mean_score(parameters, pairs), parameters) for parameters in (best, *finer)]
    value, parameters = max(scores, key=lambda scored: scored[0])
    return parameters, value

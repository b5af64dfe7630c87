"""Simulated displays that look like the recordings of a scanner.

Displays are drawn from all scanners that the simulator knows, and those are kept whose numbers (``describe``) lie
nearest to those of the recordings: rejection sampling, as approximate Bayesian computation has it (Pritchard et al.,
Mol. Biol. Evol. 16, 1999). Grain, looks, dynamic range and grey map are thereby matched together, without a model of
each.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import needed
from edgerecon.core.frame import to_unit
from edgerecon.workshop.adapt.statistics import PATCH, describe, distances
from edgerecon.workshop.data.datasets import FORMAT, Pairs, load_pairs

KEPT = 0.2
"""Share of the displays that is kept."""


def write_matched(displays: Path, looks: NDArray[np.float64], out: Path) -> float:
    """Write the displays that look most like the recordings as pairs of their own.

    Args:
        displays: of ``edgerecon simulate --kind display``. looks: of the recordings, one row of ``describe`` a patch.

    Returns:
        How much nearer the chosen ones are than all of them: mean distance over mean distance.
    """
    with needed("train", "h5py"):
        import h5py
    pairs = load_pairs(displays, ("shown", "expected"))
    drawn = np.stack([describe(_middle(pairs, index)) for index in range(len(pairs))])
    between = distances(looks, drawn)
    chosen = choose(between, max(1, round(KEPT * len(pairs))))
    with h5py.File(out, "w") as file:
        file.attrs["format"] = FORMAT
        for number, index in enumerate(chosen):
            group = file.create_group(f"sample_{number:05d}")
            for name, images in pairs.fields.items():
                group.create_dataset(name, data=images[index])
    return float(between[:, chosen].min(0).mean() / between.min(0).mean())


def choose(distances: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Columns of (N, M) distances: the nearest of every row by turns, so that no kind of patch is left out."""
    ranked = np.argsort(distances, axis=1).T.ravel()  # the nearest of each row, then the second nearest of each
    first = np.unique(ranked, return_index=True)[1]
    return np.asarray(ranked[np.sort(first)][:count])


def _middle(pairs: Pairs, index: int) -> NDArray[np.float32]:
    shown = pairs.fields["shown"][index]
    top, left = ((side - PATCH) // 2 for side in shown.shape)
    return to_unit(shown[top : top + PATCH, left : left + PATCH])

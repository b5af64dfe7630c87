"""Displays of small lesions: see ``examination.LESIONS``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgerecon.workshop.data.display import sample
from edgerecon.workshop.data.display.examination import LESIONS


def simulate_sample(seed: int, index: int) -> tuple[dict[str, NDArray[np.uint8]], dict[str, float | str]]:
    """See ``sample.simulate_sample``."""
    return sample.simulate_sample(seed, index, examination=LESIONS)

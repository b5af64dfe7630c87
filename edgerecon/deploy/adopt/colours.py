"""Whether three channels are what a grey frame repeated stands for: red, green and blue."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgerecon.core.frame import Image
from edgerecon.deploy.adopt.maps import MapReading
from edgerecon.deploy.adopt.network import Network
from edgerecon.deploy.adopt.range_trial import DIRECT, Reading

COLOURED = 8 / 255
"""Between the channels of a picture of a grey frame, RMS, from which on it is no grey picture."""


def colour_of_grey(network: Network, reading: Reading | MapReading, frames: Sequence[Image]) -> float:
    """How far the channels that come out for a grey frame are from each other, RMS, levels; 0 of one channel."""
    if not isinstance(reading, Reading) or network.result.layout.channels == 1:
        return 0.0
    squares = []
    for frame in frames:
        output = network.run(frame, reading.given)
        levels = (
            reading.returned.to_levels(output)
            if reading.way == DIRECT
            else output / np.asarray(reading.returned.gain, np.float32).reshape(-1, 1, 1)
        )
        squares.append(np.mean((np.clip(levels, -1, 1).max(0) - np.clip(levels, -1, 1).min(0)) ** 2))
    return float(np.sqrt(np.mean(squares)))


def one_of_three(network: Network, reading: Reading | MapReading) -> bool:
    """Whether three channels go in and one picture of one channel comes out: they may be frames of a sequence."""
    channels = network.ports.layout.channels, network.result.layout.channels
    return isinstance(reading, Reading) and channels == (3, 1)

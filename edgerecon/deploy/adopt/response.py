"""How a network's picture follows weak noise that is added to its frame: the mean impulse response.

The response of a denoiser lies where the impulse was, and has the impulse's sign. A network whose output is moved by a
pixel continues a frame nearly as well as one whose output is not, and so does one that gives twice the noise; their
responses differ. The estimate by random vectors is that of Ramani et al., "Monte-Carlo SURE", 2008.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.frame import Image
from edgerecon.deploy.adopt.network import Network
from edgerecon.deploy.adopt.range_trial import DIRECT, Reading, settled

_AMPLITUDE = 0.02
_REACH = 6
"""Pixels of the frame about an impulse, in which its response is looked at."""
_MOVED = 0.75
"""Pixels of the picture, from which on it is moved. Interpolation without aligned corners moves it by less."""
_TURNED = -0.05
"""Response at the impulse itself, below which a residual network takes away more than there is. The estimate's own
error is about 0.01."""
_SHARE, _WEAK = 0.2, 0.1
"""Of the strongest response, below which one is not looked at; and a strongest response that is too weak to tell."""
_LOST = 0.2
"""Of the frame's outermost pixels in the picture, below which they are lost. Zeros about a frame cost a third of them
a convolution at most."""


def doubt_of_response(network: Network, reading: Reading, frames: Sequence[Image]) -> str:
    """What the response of a reading's pictures speaks against; "" where nothing does."""
    responses = [impulse_response(network, reading, frame, seed) for seed, frame in enumerate(frames)]
    response = np.mean(responses, axis=0)
    scale = network.result.scale
    centre = _REACH * scale
    at_impulse = float(response[centre : centre + scale, centre : centre + scale].mean())
    if reading.way != DIRECT and at_impulse < _TURNED:
        return (
            f"noise that is added to a frame comes out turned around, {at_impulse:.1f} times as large: it takes more "
            "away than the noise"
        )
    if reading.way != DIRECT:
        response = -response  # the response of what is taken away, which shows better where that lies
        response[centre, centre] += 1.0
    rows, columns = _displacement(response, centre + (scale - 1) / 2)
    limit = max(_MOVED, (scale - 1) / 2 + _MOVED / 3)
    if max(abs(rows), abs(columns)) >= limit:
        what = "picture" if reading.way == DIRECT else "noise"
        return f"its {what} is moved by {rows:+.0f} rows and {columns:+.0f} columns"
    if _border_is_lost(network, reading, frames):
        return "the outermost rows and columns of its picture are black, as of a network that crops and pads"
    return ""


def impulse_response(network: Network, reading: Reading, frame: Image, seed: int) -> NDArray[np.float64]:
    """The mean picture of a frame's pixels being one level brighter, about each of them.

    Returns:
        Side (2·reach + 1)·scale; the pixel itself is the block of scale×scale in the middle.
    """
    noise = np.random.default_rng(seed).choice(np.array([-1, 1], np.float32), frame.shape)
    brighter, darker = (
        reading.picture(seen, settled(network, reading.given, frame, seen))
        for seen in (np.asarray(frame + sign * _AMPLITUDE * noise, np.float32) for sign in (1, -1))
    )
    followed = (brighter - darker).astype(np.float64) / (2 * _AMPLITUDE)
    scale = network.result.scale
    impulses = np.zeros(followed.shape)
    impulses[::scale, ::scale] = noise
    spectrum = np.fft.rfft2(followed) * np.conj(np.fft.rfft2(impulses))
    correlation = np.fft.irfft2(spectrum, followed.shape) / noise.size
    side = np.arange(-_REACH * scale, (_REACH + 1) * scale)
    return np.asarray(correlation[np.ix_(side, side)])


def _displacement(response: NDArray[np.float64], centre: float) -> tuple[float, float]:
    """Rows and columns from the impulse to the middle of what it brings about."""
    energy = np.where(np.abs(response) < _SHARE * np.abs(response).max(), 0.0, response**2)
    if energy.max() < _WEAK**2:
        return 0.0, 0.0
    along = np.arange(len(energy)) - centre
    total = float(energy.sum())
    return float(energy.sum(1) @ along / total), float(energy.sum(0) @ along / total)


def _border_is_lost(network: Network, reading: Reading, frames: Sequence[Image]) -> bool:
    bright = [np.asarray(0.5 + 0.5 * frame, np.float32) for frame in frames]
    before = np.mean([_border(frame) for frame in bright])
    pictures = (reading.picture(frame, settled(network, reading.given, frame, frame)) for frame in bright)
    return bool(np.mean([_border(picture) for picture in pictures]) < _LOST * before)


def _border(picture: Image) -> float:
    """Mean of the outermost pixels."""
    return float(np.mean(np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])))

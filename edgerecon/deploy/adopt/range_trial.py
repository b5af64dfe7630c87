"""Tries the ranges of a network on real frames.

Every pair of an input and an output range, and each way of being residual, gives a picture. A pair is possible when
that picture keeps the frame's local brightness and stays within its levels. Pairs that give the same picture are one
answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import EdgereconError
from edgerecon.core.frame import Image
from edgerecon.deploy.adopt.layout import grey
from edgerecon.deploy.adopt.network import Network
from edgerecon.deploy.adopt.ranges import BYTE, OF_TYPE, RANGES, UNIT, Range

DIRECT, MINUS, PLUS = "image", "frame − output", "frame + output"
WAYS = (DIRECT, MINUS, PLUS)
"""What the output is: the picture, the noise to be subtracted, or a correction to be added."""

POSSIBLE = 0.6
"""Error of the local brightness over the frame's spread, above which an output does not continue the frame. Networks
that are trained on other displays than that of the frames tried were seen to reach 0.4."""
SAME = 0.5 / 255
"""Pictures that differ by no more are the same answer."""
_SETTLED = 8
"""Times that a recurrent network sees a frame before it is judged."""
_BLOCK = 8
_BEYOND, _BEYOND_SHARE = 0.1, 0.02
_TURNED = 0.3
"""Error up to which a turned output is taken for what the network gives."""
_AS_IT_IS, _BACKWARDS = slice(None), slice(None, None, -1)
_TURNS = {
    "mirrored left to right": (_AS_IT_IS, _BACKWARDS),
    "turned upside down": (_BACKWARDS, _AS_IT_IS),
    "turned by half a circle": (_BACKWARDS, _BACKWARDS),
}
_GAINS = ((1.0, 0.0), (0.5, 0.0), (0.5, 0.45))
"""Gain and offset of the frames tried: as they are, dark, and bright."""


@dataclass(frozen=True)
class Reading:
    """How values become pictures: range of what goes in, range of what comes out, and what that is."""

    given: Range
    returned: Range
    way: str = DIRECT

    def picture(self, frame: Image, output: NDArray[np.float32]) -> Image:
        """Levels (H·s, W·s) of what came out for a frame of levels (H, W)."""
        if self.way == DIRECT:
            return grey(self.returned.to_levels(output))
        change = grey(output / np.asarray(self.returned.gain, np.float32).reshape(-1, 1, 1))
        return np.asarray(frame - change if self.way == MINUS else frame + change, np.float32)

    @property
    def title(self) -> str:
        """The reading as questions and reports spell it."""
        ranges = self.given.title if self.given == self.returned else f"{self.given.title} → {self.returned.title}"
        return ranges if self.way == DIRECT else f"{ranges}; {self.way}"


@dataclass(frozen=True)
class Answer:
    """One reading and what speaks for it.

    Attributes:
        pictures: that it gives for the frames tried. error: of local brightness, over the frames' spread.
        change: standard deviation of what it changes, levels. alike: other readings that give the same pictures.
    """

    reading: Reading
    pictures: tuple[Image, ...]
    error: float
    change: float
    alike: tuple[Reading, ...] = ()

    @property
    def title(self) -> str:
        """Every reading that comes to the same."""
        return " or ".join(one.title for one in (self.reading, *self.alike))

    def same_as(self, other: Answer) -> bool:
        """Whether both answers give the same pictures, clipped to [0, 1] and within ``SAME``."""
        pairs = zip(self.pictures, other.pictures, strict=True)
        return all(np.abs(np.clip(a, 0, 1) - np.clip(b, 0, 1)).max() <= SAME for a, b in pairs)


def trial_pictures(frames: Sequence[Image]) -> list[Image]:
    """The frames, and dark and bright ones of them."""
    return [np.asarray(frame * gain + offset, np.float32) for frame in frames for gain, offset in _GAINS]


def possible_answers(network: Network, frames: Sequence[Image]) -> list[Answer]:
    """Every reading that continues the frames, the best first; of those that give the same pictures the plainest."""
    found: list[Answer] = []
    for given in _ranges(network.ports.image.dtype, network.ports.layout.channels):
        outputs = _outputs(network, given, frames)
        if outputs is None:
            continue
        for returned, way in _output_readings(network, given):
            answer = evaluate_reading(Reading(given, returned, way), frames, outputs, network.result.scale)
            if answer is None:
                continue
            same = next((at for at, other in enumerate(found) if answer.same_as(other)), None)
            if same is None:
                found.append(answer)
            else:
                found[same] = replace(found[same], alike=(*found[same].alike, answer.reading))
    return sorted(found, key=lambda answer: answer.error)


def answer_for(network: Network, reading: Reading, frames: Sequence[Image], at_most: float = POSSIBLE) -> Answer | None:
    """What one reading gives; None where it does not continue the frames."""
    outputs = _outputs(network, reading.given, frames)
    return None if outputs is None else evaluate_reading(reading, frames, outputs, network.result.scale, at_most)


def find_orientation(network: Network, frames: Sequence[Image]) -> str:
    """How the output has to be turned to continue the frames; "" where no turn does it."""
    for given in _ranges(network.ports.image.dtype, network.ports.layout.channels):
        outputs = _outputs(network, given, frames) or []
        for name, turn in _TURNS.items() if outputs else ():
            for returned in (one for one, way in _output_readings(network, given) if way == DIRECT):
                found = [output[(slice(None), *turn)] for output in outputs]
                answer = evaluate_reading(Reading(given, returned), frames, found, network.result.scale)
                if answer is not None and answer.error <= _TURNED:
                    return name
    return ""


def _ranges(dtype: np.dtype[np.generic], channels: int) -> list[Range]:
    if dtype in OF_TYPE:
        return [OF_TYPE[dtype]]
    return [one for one in RANGES if one.fits(channels)]


def _output_readings(network: Network, given: Range) -> list[tuple[Range, str]]:
    result = network.result
    if result.port.dtype in OF_TYPE:
        return [(OF_TYPE[result.port.dtype], DIRECT)]
    direct = [(one, DIRECT) for one in RANGES if one.fits(result.layout.channels)]
    first = sorted(direct, key=lambda pair: pair[0] != given)  # the same range is the plainest
    if result.scale > 1:
        return first
    noise = [given, UNIT] if given == BYTE else [given]  # frames that the network divides by 255 have noise of [0, 1]
    return [*first, *((returned, way) for returned in noise for way in (MINUS, PLUS))]


def settled(network: Network, given: Range, before: Image, frame: Image) -> NDArray[np.float32]:
    """What comes out for a frame, from a recurrent network after it has seen the one before for a while.

    Raises:
        GateError: the network fails on it.
    """
    return network.run_sequence([*[before] * (_SETTLED - 1 if network.ports.states else 0), frame], given)[-1]


def _outputs(network: Network, given: Range, frames: Sequence[Image]) -> list[NDArray[np.float32]] | None:
    try:
        outputs = [settled(network, given, frame, frame) for frame in frames]
    except EdgereconError:
        return None
    return outputs if all(np.isfinite(output).all() for output in outputs) else None


def evaluate_reading(
    reading: Reading,
    frames: Sequence[Image],
    outputs: Sequence[NDArray[np.float32]],
    scale: int,
    at_most: float = POSSIBLE,
) -> Answer | None:
    """The answer of a reading; None where it does not continue the frames, or adds noise instead of taking it away."""
    pictures = tuple(reading.picture(frame, output) for frame, output in zip(frames, outputs, strict=True))
    errors = [_error(frame, picture, scale) for frame, picture in zip(frames, pictures, strict=True)]
    if not max(errors) <= at_most or any(_out_of_range(picture) for picture in pictures):
        return None
    small = [_reduced(picture, scale) for picture in pictures]
    if reading.way != DIRECT and not _cleans(frames, small):
        return None
    change = np.sqrt(np.mean([np.var(a - b) for a, b in zip(frames, small, strict=True)]))
    return Answer(reading, pictures, float(np.sqrt(np.mean(np.square(errors)))), float(change))


def _error(frame: Image, picture: Image, scale: int) -> float:
    """RMS error of the mean of blocks, over the spread of those of the frame; without those at the border, which show
    what a network takes for the outside."""
    before, after = blocks(frame)[1:-1, 1:-1], blocks(picture, _BLOCK * scale)[1:-1, 1:-1]
    return float(np.sqrt(np.mean((after - before) ** 2)) / max(float(before.std()), 1e-6))


def blocks(picture: Image, side: int = _BLOCK) -> Image:
    """The mean of every block."""
    rows, columns = (max(1, length // side) for length in picture.shape)
    return np.asarray(cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)


def _reduced(picture: Image, scale: int) -> Image:
    if scale == 1:
        return picture
    rows, columns = (length // scale for length in picture.shape)
    return np.asarray(cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)


def _out_of_range(picture: Image) -> bool:
    return float(np.mean((picture < -_BEYOND) | (picture > 1 + _BEYOND))) > _BEYOND_SHARE


def _cleans(frames: Sequence[Image], pictures: Sequence[Image]) -> bool:
    """Whether less fine detail is in the pictures than in the frames: a residual network takes noise away."""
    before, after = (sum(float(np.var(_fine_detail(one))) for one in some) for some in (frames, pictures))
    return after <= before


def _fine_detail(picture: Image) -> Image:
    """What is finer than 5×5 pixels, but at the border."""
    return np.asarray(picture - cv2.blur(picture, (5, 5)), np.float32)[_BLOCK:-_BLOCK, _BLOCK:-_BLOCK]

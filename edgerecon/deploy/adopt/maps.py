"""Networks that say something of a frame in place of another picture: probability maps, maps of classes, class scores.

The adopted file gives them as numbers in [0, 1]: the probability, the class over 255, or one score for each class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import GateError, ModelError, UsageError
from edgerecon.core.frame import Image
from edgerecon.deploy.adopt.foreign import ModelProto
from edgerecon.deploy.adopt.hints import input_hint
from edgerecon.deploy.adopt.network import Network
from edgerecon.deploy.adopt.ranges import OF_TYPE, RANGES, Range
from edgerecon.modelfile.spec import LABELS, PROBABILITY

SCORES = "scores"
MOST_CLASSES = 256
_NEARLY = 1e-3
_TITLES = {
    PROBABILITY: "a probability map, drawn over the frame",
    LABELS: "a map of {} classes, drawn over the frame",
    SCORES: "scores of {} classes, shown as text",
}


@dataclass(frozen=True)
class MapReading:
    """How a network's values become what the adopted file gives.

    Attributes:
        given: range of what goes in. way: PROBABILITY, LABELS or SCORES. classes: how many.
        activation: "Sigmoid" or "Softmax" for values that are no probabilities yet, else "".
    """

    given: Range
    way: str
    classes: int
    activation: str = ""

    @property
    def title(self) -> str:
        """The reading as questions and reports spell it."""
        return _TITLES[self.way].format(self.classes)

    def picture(self, frame: Image, output: NDArray[np.float32]) -> Image:
        """What the adopted file gives for a frame, from what the network gave, (channels, H, W)."""
        if self.way == LABELS:
            labels = output.argmax(0) if len(output) > 1 else output[0]
            return np.asarray(labels / np.float32(255), np.float32)
        values = output[0]
        if self.activation == "Sigmoid":
            values = 1 / (1 + np.exp(-values))
        if self.activation == "Softmax":
            powers = np.exp(values - values.max(-1, keepdims=True))
            values = powers / powers.sum(-1, keepdims=True)
        return np.asarray(values, np.float32)


def read_map(
    network: Network, model: ModelProto, said: Range | None, frames: Sequence[Image]
) -> tuple[MapReading, str, str]:
    """What a network says of real frames.

    Args:
        said: range of what goes in, where the user stated it.

    Returns:
        The reading, how sure its range is, and why.

    Raises:
        UsageError: the range has to be said: what does not continue a frame does not tell it. GateError: the network
        gives NaN or infinity. ModelError: there are too many classes.
    """
    given, sure, why = _given(network, model, said, frames)
    outputs = [network.run(frame, given) for frame in frames]
    if not all(np.isfinite(output).all() for output in outputs):
        raise GateError("the network gives NaN or infinity for real frames: it cannot be streamed")
    return _reading(network, given, outputs), sure, why


def _given(network: Network, model: ModelProto, said: Range | None, frames: Sequence[Image]) -> tuple[Range, str, str]:
    if network.ports.image.dtype in OF_TYPE:
        return OF_TYPE[network.ports.image.dtype], "sure", f"it takes {network.ports.image.dtype} pixels"
    if said is not None:
        return said, "as you said", ""
    if hint := input_hint(model, network.ports.image.name):
        return hint[0], "sure", hint[1]
    fitting = [one for one in RANGES if one.fits(network.ports.layout.channels)]
    found = [network.run(frames[0], one) for one in fitting]
    if all(np.allclose(found[0], one, atol=_NEARLY) for one in found):
        return fitting[0], "sure", "it does the same in every range"
    raise UsageError(
        "the range of a network that gives no picture cannot be tried: say with --range what it was trained on"
    )


def _reading(network: Network, given: Range, outputs: Sequence[NDArray[np.float32]]) -> MapReading:
    result = network.result
    low, high = min(output.min() for output in outputs), max(output.max() for output in outputs)
    probable = -_NEARLY <= low and high <= 1 + _NEARLY
    if result.kind == SCORES:
        classes = outputs[0].shape[-1]
        activation = "" if probable else "Softmax" if classes > 1 else "Sigmoid"
        return MapReading(given, SCORES, classes, activation)
    channels = len(outputs[0])
    whole = result.port.dtype.kind in "iu"
    if channels == 1 and not whole:
        return MapReading(given, PROBABILITY, 1, "" if probable else "Sigmoid")
    classes = channels if channels > 1 else max(int(high) + 1, 2)
    if classes > MOST_CLASSES or low < 0 and whole:
        raise ModelError(f"a map of {classes} classes is more than can be drawn: the most is {MOST_CLASSES}")
    return MapReading(given, LABELS, classes)

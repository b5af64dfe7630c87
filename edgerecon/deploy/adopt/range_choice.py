"""Chooses among the ranges that a network may have, or says that it cannot be known.

What continues the frames best is not enough: a network that is fed a wrong range often does almost nothing, and nothing
continues a frame better than the frame. So an answer is found in this order:

1. what the graph itself names, where the trial does not contradict: a division by 255, a closing tanh;
2. what is left when answers go that do nothing, and those for which the network's own constants do not matter: biases
   are trained for values of a certain size, and a frame that is far larger drowns them;
3. what continues the frames far better than all others.

All else is to be asked; so is an answer of [0, 255] which drowns the constants. Such an answer contradicts no range
that was stated, and is listed last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgerecon.core.frame import Image
from edgerecon.deploy.adopt.foreign import ModelProto
from edgerecon.deploy.adopt.hints import input_hint, output_hint
from edgerecon.deploy.adopt.network import Network
from edgerecon.deploy.adopt.range_trial import DIRECT, Answer, Reading, answer_for, blocks
from edgerecon.deploy.adopt.ranges import BYTE, OF_TYPE, SIGNED, Range

GOOD = 0.1
"""Error up to which an answer needs no word from the graph."""
CLEARLY = 6.0
"""So many times worse is every answer that is not asked about."""
_FLOOR = 0.01
_IDLE = 1 / 255
_COARSE = 0.25
"""Share of the energy of what is taken away, that is in means of blocks."""
_ONE_SIDED = 0.1
"""Of the size of what is taken away on one side of zero, that there must be on the other."""
_LARGER = 10.0
_DROWNED = 0.2
"""Of the effect of constants under another answer, above which they matter."""


@dataclass(frozen=True)
class Choice:
    """The answer, how sure it is ("sure" or "likely"), and why."""

    answer: Answer
    sure: str
    why: str


def choose(network: Network, model: ModelProto, answers: Sequence[Answer], frames: Sequence[Image]) -> Choice | None:
    """The range to take; None where it is to be asked.

    Args:
        answers: all that are possible, see ``possible_answers``. frames: by which they were found.
    """
    if named := hints(network, model):
        answers = fitting(network, model, answers)
        busy = _busy(answers)
        if len(busy) == 1 and (busy[0].change >= _IDLE or busy[0].reading.way == DIRECT):
            return Choice(busy[0], "sure", " and ".join(named))
    if not answers:
        return None
    only = answers[0]
    proven = only.error <= GOOD and only.change >= _IDLE and not _proves_nothing(network, only, frames)
    if len(answers) == 1 and proven:
        return Choice(only, "sure", "no other range continues the frames")
    left = _with_effect(network, _busy(answers), frames)
    best = min(left, key=lambda one: one.error)
    others = [one for one in left if one is not best]
    if (
        best.error > GOOD
        or _proves_nothing(network, best, frames)
        or best.change < _IDLE
        or any(one.error + _FLOOR < CLEARLY * (best.error + _FLOOR) for one in others)
    ):
        return None
    nearest = min((one.error for one in others), default=None)
    if nearest is not None:
        return Choice(
            best, "likely", f"continues the frames {nearest / best.error:.0f} times as well as the next range"
        )
    return Choice(best, "likely", "other ranges make the network do nothing, or drown its constants")


def hints(network: Network, model: ModelProto) -> list[str]:
    """By what the graph names its ranges."""
    return [hint[1] for hint in _named(network, model) if hint]


def _named(network: Network, model: ModelProto) -> tuple[tuple[Range, str] | None, tuple[Range, str] | None]:
    """What the graph names for input and output; of a port of whole numbers the type says more."""
    given, returned = network.ports.image, network.result.port
    return (
        None if given.dtype in OF_TYPE else input_hint(model, given.name),
        None if returned.dtype in OF_TYPE else output_hint(model, returned.name),
    )


def fitting(network: Network, model: ModelProto, answers: Sequence[Answer]) -> list[Answer]:
    """Answers that what the graph names allows, each with none but the readings that it allows. Noise has both signs
    and the frames' size: a sigmoid holds none, and a tanh none of frames up to 255."""
    given, returned = _named(network, model)

    def fits(reading: Reading) -> bool:
        if given is not None and reading.given != given[0]:
            return False
        if returned is None:
            return True
        if reading.way != DIRECT and returned[0] == SIGNED and reading.given != BYTE:
            return True
        return reading.way == DIRECT and reading.returned == returned[0]

    kept = [([reading for reading in (one.reading, *one.alike) if fits(reading)], one) for one in answers]
    return [replace(one, reading=some[0], alike=tuple(some[1:])) for some, one in kept if some]


def drowns(network: Network, answer: Answer, frames: Sequence[Image]) -> bool:
    """Whether frames of [0, 255] are so large that the network's constants have no effect: then almost any network of
    convolutions continues them, however it was trained."""
    large = all(reading.given == BYTE for reading in (answer.reading, *answer.alike))
    exact = network.ports.image.dtype in OF_TYPE
    return large and not exact and _effect_of_constants(network, answer, frames) < _IDLE


def drowned_last(network: Network, answers: Sequence[Answer], frames: Sequence[Image]) -> list[Answer]:
    """The same answers in their order, but for those that drown the network's constants: they prove nothing."""
    return sorted(answers, key=lambda one: drowns(network, one, frames))


def _busy(answers: Sequence[Answer]) -> list[Answer]:
    """Those under which the network does anything; all where it never does."""
    return [one for one in answers if one.change >= _IDLE] or list(answers)


def _with_effect(network: Network, answers: list[Answer], frames: Sequence[Image]) -> list[Answer]:
    """Without those under which the network's constants have no effect while they have one under a good answer."""
    if len(answers) < 2:
        return answers
    effects = {id(one): _effect_of_constants(network, one, frames) for one in answers}
    most = max((effects[id(one)] for one in answers if one.error <= GOOD), default=0.0)
    return [one for one in answers if effects[id(one)] > _DROWNED * most] or answers


def _proves_nothing(network: Network, answer: Answer, frames: Sequence[Image]) -> bool:
    return drowns(network, answer, frames) or _is_coarse(answer, frames) or _is_one_sided(answer, frames)


def _is_coarse(answer: Answer, frames: Sequence[Image]) -> bool:
    """Whether what a residual network takes away is no noise: it stays when blocks of it are averaged."""
    if answer.reading.way == DIRECT:
        return False
    changes = [frame - picture for frame, picture in zip(frames, answer.pictures, strict=True)]
    coarse, whole = (sum(float(np.mean(one**2)) for one in some) for some in (map(blocks, changes), changes))
    return coarse > _COARSE * whole


def _is_one_sided(answer: Answer, frames: Sequence[Image]) -> bool:
    """Whether what a residual network takes away is nearly all above zero, or below: noise is of both signs."""
    if answer.reading.way == DIRECT:
        return False
    changes = [frame - picture for frame, picture in zip(frames, answer.pictures, strict=True)]
    above, below = (sum(float(np.maximum(sign * one, 0).mean()) for one in changes) for sign in (1, -1))
    return min(above, below) < _ONE_SIDED * max(above, below)


def _effect_of_constants(network: Network, answer: Answer, frames: Sequence[Image]) -> float:
    """RMS between the pictures and those of the same range ten times as large, levels: 0 without constants."""
    reading = answer.reading
    larger = Reading(reading.given.times(_LARGER), reading.returned.times(_LARGER), reading.way)
    found = answer_for(network, larger, frames, at_most=np.inf)
    if found is None:
        return float("inf")
    pairs = zip(answer.pictures, found.pictures, strict=True)
    return float(np.sqrt(np.mean([np.mean((a - b) ** 2) for a, b in pairs])))

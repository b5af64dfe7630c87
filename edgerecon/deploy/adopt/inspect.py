"""What a foreign network is: its ports, its sizes and its range, found by trial and by what the user says."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgerecon.core.errors import GateError, UsageError
from edgerecon.core.frame import Image
from edgerecon.deploy.adopt import range_choice
from edgerecon.deploy.adopt.colours import COLOURED, colour_of_grey, one_of_three
from edgerecon.deploy.adopt.foreign import ForeignModel, ModelProto, read_foreign
from edgerecon.deploy.adopt.frames import centre_crop, trial_frames
from edgerecon.deploy.adopt.halo import find_halo
from edgerecon.deploy.adopt.maps import SCORES, MapReading, read_map
from edgerecon.deploy.adopt.network import Network
from edgerecon.deploy.adopt.range_trial import (
    DIRECT,
    MINUS,
    PLUS,
    Answer,
    Reading,
    find_orientation,
    possible_answers,
    trial_pictures,
)
from edgerecon.deploy.adopt.ranges import Range
from edgerecon.deploy.adopt.response import doubt_of_response
from edgerecon.deploy.adopt.sizes import Sizes, find_network

_log = logging.getLogger(__name__)
SURE, LIKELY, STATED = "sure", "likely", "as you said"
_GRIDS = (16, 8, 4, 2, 1)
"""Multiples at which tiles may begin, so that networks that pool see their grid where they would."""
_RESIDUALS = {"image": DIRECT, "noise": MINUS, "correction": PLUS}
OVERLAY = "overlay"
"""Way of a network whose output is drawn over the frame."""


def parse_way(text: str) -> str:
    """What ``--residual`` takes, as of ``range_trial.WAYS``, or ``OVERLAY``.

    Raises:
        UsageError: anything else.
    """
    if text == OVERLAY:
        return OVERLAY
    if text not in _RESIDUALS:
        raise UsageError(f"--residual is {', '.join([*_RESIDUALS, OVERLAY])}, not '{text}'")
    return _RESIDUALS[text]


@dataclass(frozen=True)
class Asked:
    """What the user says of a network; None is to be found.

    Attributes:
        task: for the metadata. given, returned: ranges of what goes in and comes out. way: of ``range_trial.WAYS``,
            or OVERLAY. output: name of the output to show.
        noise_level: for networks that ask for one, grey levels of 255.
    """

    task: str | None = None
    given: Range | None = None
    returned: Range | None = None
    way: str | None = None
    output: str | None = None
    noise_level: float | None = None


@dataclass(frozen=True)
class Finding:
    """One thing that was found. sure: "sure", "likely" or "as you said". why: a phrase, may be empty."""

    what: str
    found: str
    sure: str = SURE
    why: str = ""


@dataclass
class Inspected:
    """A foreign network, understood.

    Attributes:
        reading: its ranges. frames: on which it was tried, of a size that it takes.
        grid, halo: of tiles, where it takes one size alone; else 1 and 0.
    """

    foreign: ForeignModel
    network: Network
    sizes: Sizes
    reading: Reading | MapReading
    frames: list[Image]
    findings: list[Finding]
    grid: int = 1
    halo: int = 0


def inspect(
    path: Path, asked: Asked, data: Path | None = None, step: Callable[[str], None] = lambda name: None
) -> Inspected:
    """Read a foreign ONNX file and try it on real frames.

    Args:
        asked: what is known already. data: frames to try it on, see ``trial_frames``. step: is told what comes next.

    Raises:
        ModelError: the file cannot be read, run or shown. UsageError: something has to be said by an option, which is
        named. GateError: the network contradicts what was said of it, or cannot be tiled.
    """
    step("reading")
    foreign = read_foreign(path)
    step("sizes")
    network, sizes = find_network(foreign, asked.output)
    step("range")
    network.noise_level = _noise_level(network, asked)
    recorded = trial_frames(data)
    frames = [centre_crop(frame, network.ports.size) for frame in recorded]
    reading, range_finding = _find_reading(network, foreign.model, asked, frames)
    range_finding = _with_doubts(network, reading, range_finding, frames, asked)
    grid, halo = (1, 0) if network.result.kind == SCORES else _tiling(network, reading, sizes, recorded)
    findings = [*_port_findings(network, reading, sizes, halo), range_finding]
    findings += [Finding("file", note) for note in foreign.notes]
    return Inspected(foreign, network, sizes, reading, frames, findings, grid, halo)


def _with_doubts(
    network: Network, reading: Reading | MapReading, found: Finding, frames: Sequence[Image], asked: Asked
) -> Finding:
    """The finding of the range, in doubt where three channels may be no colours, or the picture is out of place.

    Raises:
        UsageError: that is so, and ``--residual`` does not say that the picture is meant so.
    """
    doubt = remedy = ""
    if (spread := colour_of_grey(network, reading, frames)) > COLOURED:
        doubt = f"a grey frame comes out coloured, by {spread * 255:.0f} grey levels: is it no red, green and blue?"
        remedy = (
            "A network of Y, Cb and Cr is not taken; say --residual image where it is a picture all the same, "
            "--residual overlay where the channels are classes"
        )
    elif isinstance(reading, Reading) and (doubt := doubt_of_response(network, reading, frames)):
        way = next(key for key, one in _RESIDUALS.items() if one == reading.way)
        remedy = f"(error in the export?); say --residual {way} where it is meant so"
        if reading.way != DIRECT:
            remedy += ", with --output-range 0..2 where it gives twice the noise of [0, 1]"
    elif one_of_three(network, reading):
        doubt = "3 channels go in and 1 comes out: frames of a sequence would all be the same one"
    if remedy and asked.way is None:
        raise UsageError(f"{doubt} {remedy}")
    if not doubt:
        return found
    _log.warning("%s", doubt)
    return replace(found, sure=f"{found.sure}, in doubt", why=doubt)


def _noise_level(network: Network, asked: Asked) -> float:
    """In grey levels of 255, as it was said."""
    if not network.ports.noise:
        if asked.noise_level is not None:
            raise UsageError("the network asks for no noise level: leave --noise-level out")
        return 0.0
    if asked.noise_level is None:
        names = ", ".join(map(str, network.ports.noise))
        if not all(port.single or port.speaks_of_noise for port in network.ports.noise):
            raise UsageError(
                f"{names} is a picture beside '{network.ports.image.name}': where it is a map of the noise level, say "
                "how much with --noise-level, e.g. 25 of 255 grey levels; a network of two pictures is not taken"
            )
        raise UsageError(f"{names} asks for a noise level: say how much with --noise-level, e.g. 25 of 255 grey levels")
    return asked.noise_level / 255


def _find_reading(
    network: Network, model: ModelProto, asked: Asked, frames: Sequence[Image]
) -> tuple[Reading | MapReading, Finding]:
    """The ranges, as they were said or as the trial tells; of a map, what its values mean."""
    if network.result.kind == "image" and asked.way == OVERLAY:
        network.result = replace(network.result, kind="map")
    if network.result.kind == "image":
        return _find_ranges(network, model, asked, frames)
    if asked.returned is not None or asked.way not in (None, OVERLAY):
        raise UsageError(
            f"'{network.result.port.name}' gives no picture: leave --output-range and --residual out, or choose "
            "another --output"
        )
    reading, sure, why = read_map(network, model, asked.given, frames)
    return reading, Finding("range", reading.given.title, sure, why)


def _find_ranges(network: Network, model: ModelProto, asked: Asked, frames: Sequence[Image]) -> tuple[Reading, Finding]:
    """The ranges of a network that gives pictures."""
    pictures = trial_pictures(frames)
    answers = range_choice.drowned_last(network, possible_answers(network, pictures), pictures)
    if not answers and network.result.layout.channels == 3 and asked.way is None:
        raise UsageError(
            f"the 3 channels of '{network.result.port.name}' continue no frame: say --residual overlay where they are "
            "classes, --residual image where they are colours"
        )
    chosen = range_choice.choose(network, model, answers, pictures)
    said = [one for one in answers if any(_is_as_said(reading, asked) for reading in (one.reading, *one.alike))]
    if asked.given is None and asked.returned is None and asked.way is None:
        if chosen is None:
            hints = range_choice.hints(network, model)
            turn = "" if answers else find_orientation(network, pictures)
            raise UsageError(_undecided(range_choice.fitting(network, model, answers), hints, turn))
        return chosen.answer.reading, Finding("range", chosen.answer.title, chosen.sure, chosen.why)
    if chosen is not None and doubt_of_response(network, chosen.answer.reading, frames):
        chosen = None  # it speaks against nothing that was said
    if chosen is not None and any(chosen.answer.pictures is one.pictures for one in said):
        return chosen.answer.reading, Finding("range", chosen.answer.title, STATED, f"and {chosen.why}")
    stated = _stated(asked, said)
    if chosen is not None and _same_pictures(network, stated, chosen.answer, pictures):
        return stated, Finding("range", stated.title, STATED)
    if not answers and stated.way == DIRECT and (turn := find_orientation(network, pictures)):
        contradiction = f"it continues real frames when its output is {turn} alone"
        _log.warning("the trial contradicts the network: %s", contradiction)
        return stated, Finding("range", stated.title, f"{STATED}, in doubt", contradiction)
    better = chosen.answer if chosen is not None else _far_better(network, stated, answers, pictures)
    if better is None:
        return stated, Finding(
            "range", stated.title, STATED, "the trial cannot tell" if answers else "the trial tells nothing"
        )
    contradiction = (
        f"{better.title} continues the frames better"
        if chosen is None
        else f"{better.title} is {chosen.sure}: {chosen.why}"
    )
    if chosen is not None and chosen.sure == SURE:
        raise GateError(
            f"the network contradicts the range {stated.title}, {contradiction}; leave the range out, or check how the "
            "network was trained"
        )
    _log.warning("the trial contradicts the range %s: %s", stated.title, contradiction)
    return stated, Finding("range", stated.title, f"{STATED}, in doubt", contradiction)


def _far_better(
    network: Network, stated: Reading, answers: Sequence[Answer], pictures: Sequence[Image]
) -> Answer | None:
    """An answer beside which what was said is of no account; None where there is none.

    Args:
        answers: the best first, those that drown the network's constants last.
    """
    if not answers or answers[0].error > range_choice.GOOD or range_choice.drowns(network, answers[0], pictures):
        return None
    own = range_choice.answer_for(network, stated, pictures, at_most=float("inf"))
    return answers[0] if own is None or own.error > range_choice.CLEARLY * answers[0].error else None


def _is_as_said(reading: Reading, asked: Asked) -> bool:
    pairs = ((asked.given, reading.given), (asked.returned, reading.returned), (asked.way, reading.way))
    return all(said is None or said == found for said, found in pairs)


def _stated(asked: Asked, said: Sequence[Answer]) -> Reading:
    """What was said; what was not is the best of what fits, or alike going in and coming out."""
    if said and (asked.given is None or (asked.returned is None and len(said) == 1)):
        return said[0].reading
    given = asked.given or asked.returned
    if given is None:
        raise UsageError("the range cannot be told from the frames: say it with --range")
    reading = Reading(given, asked.returned or given)
    return replace(reading, way=asked.way) if asked.way else reading


def _same_pictures(network: Network, stated: Reading, best: Answer, pictures: Sequence[Image]) -> bool:
    answer = range_choice.answer_for(network, stated, pictures, at_most=float("inf"))
    return answer is not None and answer.same_as(best)


def _undecided(answers: Sequence[Answer], hints: Sequence[str], turn: str = "") -> str:
    """The question to ask. answers: those that ``hints``, names in the graph, allow. turn: see ``find_orientation``."""
    if not answers and turn:
        return (
            f"the network continues real frames when its output is {turn} alone: do that inside the network, or say "
            "with --range and --residual what it was trained on"
        )
    if not answers:
        first = f"as {' and '.join(hints)}, " if hints else ""
        return (
            f"{first}in no range that is known does the network continue real frames: say with --range, "
            "--output-range and --residual what it was trained on (--residual overlay for a map of probabilities), or "
            "give --data like its training data"
        )
    possible = "; ".join(f"{one.title} (error {one.error:.2f})" for one in answers[:4])
    message = f"the range cannot be told from the frames: say it with --range. Possible: {possible}"
    if all(one.reading.way != DIRECT for one in answers):
        message += "; or --residual overlay for a map of probabilities"
    return message


def _tiling(network: Network, reading: Reading | MapReading, sizes: Sizes, frames: Sequence[Image]) -> tuple[int, int]:
    """The grid on which tiles begin, and their halo; (1, 0) for a network that takes any size."""
    if not sizes.fixed:
        return 1, 0
    if network.ports.states:
        raise GateError("a recurrent network of one size cannot be tiled: export it with free rows and columns")
    found, refused = [], None
    for grid in (grid for grid in _GRIDS if not any(length % grid for length in sizes.fixed)):
        try:
            found.append((find_halo(network, reading, sizes.fixed, frames, grid), grid))
        except GateError as error:
            refused = error
    if not found and refused is not None:
        raise refused
    halo, grid = min(found)
    return grid, halo


def _port_findings(network: Network, reading: Reading | MapReading, sizes: Sizes, halo: int) -> list[Finding]:
    ports, result = network.ports, network.result
    layout = ports.layout
    channels = "grey" if layout.channels == 1 else "grey repeated in 3 channels"
    found = [Finding("input", f"{ports.image}, {layout.axes}, {channels}")]
    found += [Finding("noise level", f"{port}: {network.noise_level * 255:g} of 255", STATED) for port in ports.noise]
    if ports.states:
        pairs = ", ".join(f"{one.given.name} → {one.returned.name}" for one in ports.states)
        found.append(Finding("state", pairs, SURE if len(ports.states) == 1 else LIKELY, "by shape and name"))
    if isinstance(reading, MapReading):
        shown = reading.title
    else:
        shown = "grey" if result.layout.channels == 1 else "luminance of 3 channels"
    found.append(Finding("output", f"{result.port}, {shown}"))
    found.append(Finding("scale", f"×{result.scale}"))
    if sizes.fixed and result.kind == SCORES:
        size = f"any, brought to {sizes.fixed[0]}×{sizes.fixed[1]}"
    elif sizes.fixed:
        size = f"{sizes.fixed[0]}×{sizes.fixed[1]} alone, in tiles with a halo of {halo} pixels"
    else:
        size = "any" if sizes.multiple == 1 else f"multiples of {sizes.multiple}"
    if not sizes.alike:
        why = "a part comes out otherwise in a larger picture: it sees all of it, or was exported for one size"
        return [*found, Finding("frame size", size, LIKELY, why)]
    why = "the file states one size and was seen to run on others alike" if sizes.freed else ""
    return [*found, Finding("frame size", size, SURE, why)]

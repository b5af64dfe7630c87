"""``edgerecon adopt``: from any image-to-image ONNX file to a file of ours that is measured and proven."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from edgerecon.core.errors import GateError, UsageError
from edgerecon.core.files import write
from edgerecon.core.frame import Image
from edgerecon.deploy.adopt import range_choice, work
from edgerecon.deploy.adopt.foreign import ForeignModel, ModelProto, onnx, read_foreign
from edgerecon.deploy.adopt.frames import cut, trial_frames
from edgerecon.deploy.adopt.network import Network
from edgerecon.deploy.adopt.precision import stored_precision
from edgerecon.deploy.adopt.proof import prove, runtimes
from edgerecon.deploy.adopt.range_trial import DIRECT, MINUS, PLUS, Answer, Reading, possible_answers, trial_pictures
from edgerecon.deploy.adopt.ranges import Range
from edgerecon.deploy.adopt.seams import find_halo
from edgerecon.deploy.adopt.sizes import Sizes, find_network
from edgerecon.deploy.adopt.wrap import wrap
from edgerecon.modelfile.file import PREFIX, read_model
from edgerecon.modelfile.spec import ModelSpec

_log = logging.getLogger(__name__)
SURE, LIKELY, STATED = "sure", "likely", "as you said"
_GRIDS = (16, 8, 4, 2, 1)
"""Multiples at which tiles may begin, so that networks that pool see their grid where they would."""
_NOTICE = "For research and engineering. Not a medical device; not for clinical use."
Progress = Callable[[str, int, int], None]
_STEPS = ("reading", "sizes", "range", "reach", "writing", "proof")


_RESIDUALS = {"image": DIRECT, "noise": MINUS, "correction": PLUS}


def parse_way(text: str) -> str:
    """What ``--residual`` takes, as of ``range_trial.WAYS``.

    Raises:
        UsageError: anything else.
    """
    if text not in _RESIDUALS:
        raise UsageError(f"--residual is {', '.join(_RESIDUALS)}, not '{text}'")
    return _RESIDUALS[text]


@dataclass(frozen=True)
class Asked:
    """What the user says of a network; None is to be found.

    Attributes:
        task: for the metadata. given, returned: ranges of what goes in and comes out. way: of ``range_trial.WAYS``.
        output: name of the output to show. noise_level: for networks that ask for one, grey levels of 255.
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
class Adoption:
    """What was found and written. max_abs_error: of the parity run. runs_on: see ``proof.runtimes``."""

    path: Path
    spec: ModelSpec
    findings: list[Finding] = field(default_factory=list)
    max_abs_error: float = 0.0
    runs_on: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        return {
            "path": str(self.path),
            "model": asdict(self.spec),
            "findings": [asdict(one) for one in self.findings],
            "max_abs_error": self.max_abs_error,
            "runs_on": self.runs_on,
        }


def adopt(
    path: Path, out: Path, asked: Asked | None = None, data: Path | None = None, on_progress: Progress | None = None
) -> Adoption:
    """Inspect a foreign ONNX file, try it on real frames, and write it with our ports and metadata.

    Args:
        out: file to write. asked: what is known already. data: frames to try it on, see ``trial_frames``.

    Returns:
        What was found; ``out`` is written only when the parity run has passed.

    Raises:
        ModelError: the file cannot be read, run or shown. UsageError: something has to be said by an option, which is
        named. GateError: the network gives NaN, contradicts what was said of it, cannot be tiled, or fails the parity
        run.
    """
    asked, step = asked or Asked(), _steps(on_progress)
    step("reading")
    foreign = read_foreign(path)
    step("sizes")
    network, sizes = find_network(foreign, asked.output)
    _refuse_unknown_results(network)
    step("range")
    network.noise_level = _noise_level(network, asked)
    frames = [cut(frame, network.ports.size) for frame in trial_frames(data)]
    reading, range_finding = _find_reading(network, foreign.model, asked, frames)
    step("reach")
    grid, halo = _tiling(network, reading, sizes, data)
    size = work.trial_side(sizes.fixed, sizes.multiple)
    reach = work.receptive_field(network, reading, size, sizes.multiple)
    macs = work.count_macs(foreign.model, network, size)
    precision, form = stored_precision(foreign.model)
    step("writing")
    facts = _facts(foreign, network, sizes, reading) | {
        "name": out.stem,
        "task": asked.task or ("restore" if network.result.scale == 1 else "enlarge"),
        "size_multiple": str(grid if sizes.fixed else sizes.multiple),
        "precision": precision,
        "receptive_field": str(reach),
        "macs_per_pixel": f"{macs:.6g}",
    }
    facts |= {"form": form} if form else {}
    facts |= {"format": "2", "tile": json.dumps(sizes.fixed), "halo": str(halo)} if sizes.fixed else {}
    wrapped = wrap(foreign.model, network, reading, sizes)
    onnx.helper.set_model_props(wrapped, {PREFIX + key: value for key, value in facts.items()})
    step("proof")
    adoption = _proven(out, wrapped, network, reading, frames)
    adoption.findings = [
        *_port_findings(network, sizes, halo),
        range_finding,
        Finding("receptive field", f"{reach} pixels"),
        Finding("arithmetic", f"{macs / 1e3:.3g} kMAC a pixel"),
        Finding("precision", precision),
        *(Finding("file", note) for note in foreign.notes),
    ]
    return adoption


def _steps(on_progress: Progress | None) -> Callable[[str], None]:
    if on_progress is None:
        return lambda name: None
    return lambda name: on_progress(name, _STEPS.index(name), len(_STEPS))


def _refuse_unknown_results(network: Network) -> None:
    if network.result.kind != "image":
        raise UsageError(f"{network.result.port} gives {network.result.kind}, no picture: edgerecon streams pictures")


def _noise_level(network: Network, asked: Asked) -> float:
    """In grey levels of 255, as it was said."""
    if not network.ports.noise:
        if asked.noise_level is not None:
            raise UsageError("the network asks for no noise level: leave --noise-level out")
        return 0.0
    if asked.noise_level is None:
        names = ", ".join(map(str, network.ports.noise))
        raise UsageError(f"{names} asks for a noise level: say how much with --noise-level, e.g. 25 of 255 grey levels")
    return asked.noise_level / 255


def _find_reading(
    network: Network, model: ModelProto, asked: Asked, frames: Sequence[Image]
) -> tuple[Reading, Finding]:
    """The ranges, as they were said or as the trial tells."""
    pictures = trial_pictures(frames)
    answers = possible_answers(network, pictures)
    chosen = range_choice.choose(network, model, answers, pictures)
    said = [one for one in answers if _is_as_said(one.reading, asked)]
    if asked.given is None and asked.returned is None and asked.way is None:
        if chosen is None:
            raise UsageError(_undecided(answers))
        return chosen.answer.reading, Finding("range", chosen.answer.reading.title, chosen.sure, chosen.why)
    if chosen is not None and said and chosen.answer in said:
        return chosen.answer.reading, Finding("range", chosen.answer.reading.title, STATED, f"and {chosen.why}")
    stated = _stated(asked, said)
    if chosen is None or _same_pictures(network, stated, chosen.answer, pictures):
        return stated, Finding("range", stated.title, STATED)
    contradiction = f"{chosen.answer.reading.title} is {chosen.sure}: {chosen.why}"
    if chosen.sure == SURE:
        raise GateError(
            f"the network contradicts the range {stated.title}, {contradiction}; leave the range out, or check how the "
            "network was trained"
        )
    _log.warning("the trial contradicts the range %s: %s", stated.title, contradiction)
    return stated, Finding("range", stated.title, f"{STATED}, in doubt", contradiction)


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


def _undecided(answers: Sequence[Answer]) -> str:
    if not answers:
        return (
            "in no range that is known does the network continue real frames: say with --range, "
            "--output-range and --residual what it was trained on, or give --data like its training data"
        )
    possible = "; ".join(f"{one.reading.title} (error {one.error:.2f})" for one in answers[:4])
    return f"the range cannot be told from the frames: say it with --range. Possible: {possible}"


def _tiling(network: Network, reading: Reading, sizes: Sizes, data: Path | None) -> tuple[int, int]:
    """The grid on which tiles begin, and their halo; (1, 0) for a network that takes any size."""
    if not sizes.fixed:
        return 1, 0
    if network.ports.states:
        raise GateError("a recurrent network of one size cannot be tiled: export it with free rows and columns")
    frames = trial_frames(data)
    refused: GateError | None = None
    for grid in (grid for grid in _GRIDS if not any(length % grid for length in sizes.fixed)):
        try:
            return grid, find_halo(network, reading, sizes.fixed, frames, grid)
        except GateError as error:
            refused = error
    assert refused is not None
    raise refused


def _facts(foreign: ForeignModel, network: Network, sizes: Sizes, reading: Reading) -> dict[str, str]:
    """Metadata that say what the network is and where it came from."""
    states = network.ports.states
    channels = sum(one.channels for one in states)
    state = [{"name": "state", "channels": channels, "divisor": one.divisor} for one in states[:1]]
    origin = {
        "file": foreign.path.name,
        "sha256": foreign.sha256,
        "range": reading.given.key,
        "output_range": reading.returned.key,
        "output": reading.way,
        "layout": network.ports.layout.axes,
    }
    if network.ports.noise:
        origin["noise_level"] = f"{network.noise_level:g}"
    return {
        "format": "1",
        "input_range": "[0, 1]",
        "scale": str(network.result.scale),
        "state": json.dumps(state),
        "recipe_hash": "",
        "quality": "{}",
        "origin": json.dumps(origin, ensure_ascii=False),
        "notice": _NOTICE,
    }


def _proven(out: Path, wrapped: ModelProto, network: Network, reading: Reading, frames: Sequence[Image]) -> Adoption:
    """Write the file beside its place, run it, and only then put it there."""
    partial = out.with_name(f".{out.stem}.adopting.onnx")
    content = wrapped.SerializeToString(deterministic=True)
    try:
        write(partial, content)
        spec = read_model(partial).spec
        error = prove(partial, network, reading, spec, frames)
        runs_on = runtimes(partial, frames[0])
    finally:
        partial.unlink(missing_ok=True)
    write(out, content)
    return Adoption(out, spec, [], error, runs_on)


def _port_findings(network: Network, sizes: Sizes, halo: int) -> list[Finding]:
    ports, result = network.ports, network.result
    layout = ports.layout
    channels = "grey" if layout.channels == 1 else "grey repeated in 3 channels"
    found = [Finding("input", f"{ports.image}, {layout.axes}, {channels}")]
    found += [Finding("noise level", f"{port}: {network.noise_level:.4g}", STATED) for port in ports.noise]
    if ports.states:
        pairs = ", ".join(f"{one.given.name} → {one.returned.name}" for one in ports.states)
        found.append(Finding("state", pairs, SURE if len(ports.states) == 1 else LIKELY, "by shape and name"))
    shown = "grey" if result.layout.channels == 1 else "luminance of 3 channels"
    found.append(Finding("output", f"{result.port}, {shown}"))
    found.append(Finding("scale", f"×{result.scale}"))
    if sizes.fixed:
        size = f"{sizes.fixed[0]}×{sizes.fixed[1]} alone, in tiles with a halo of {halo} pixels"
    else:
        size = "any" if sizes.multiple == 1 else f"multiples of {sizes.multiple}"
    why = "the file states one size and was seen to run on others alike" if sizes.freed else ""
    return [*found, Finding("frame size", size, SURE, why)]

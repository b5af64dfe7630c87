"""``edgerecon adopt``: from any image-to-image ONNX file to a file of ours that is measured and proven."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgerecon.core.files import write
from edgerecon.deploy.adopt.foreign import ModelProto, onnx
from edgerecon.deploy.adopt.inspect import Asked, Finding, Inspected, inspect
from edgerecon.deploy.adopt.macs import count_macs
from edgerecon.deploy.adopt.maps import SCORES, MapReading
from edgerecon.deploy.adopt.precision import stored_precision
from edgerecon.deploy.adopt.proof import prove, runtimes
from edgerecon.deploy.adopt.range_trial import Reading
from edgerecon.deploy.adopt.receptive_field import receptive_field, trial_side
from edgerecon.deploy.adopt.wrap import wrap
from edgerecon.modelfile.file import PREFIX, read_model
from edgerecon.modelfile.spec import ModelSpec

_NOTICE = "For research and engineering. Not a medical device; not for clinical use."
Progress = Callable[[str, int, int], None]
_STEPS = ("reading", "sizes", "range", "reach", "writing", "proof")


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
        ModelError, UsageError: see ``inspect``. GateError: see there; or the network gives NaN, or the file and the
        network differ.
    """
    asked, step = asked or Asked(), _steps(on_progress)
    inspected = inspect(path, asked, data, step)
    step("reach")
    network, sizes = inspected.network, inspected.sizes
    size = trial_side(sizes.fixed, sizes.multiple)
    reach = receptive_field(network, inspected.reading, size, sizes.multiple)
    macs = count_macs(inspected.foreign.model, network, size)
    precision, form = stored_precision(inspected.foreign.model)
    step("writing")
    facts = _facts(inspected) | {
        "name": out.stem,
        "task": asked.task or _task(inspected),
        "precision": precision,
        "receptive_field": str(reach),
    }
    facts |= {} if macs is None else {"macs_per_pixel": f"{macs:.6g}"}
    facts |= {"form": form} if form else {}
    wrapped = wrap(inspected.foreign.model, network, inspected.reading, sizes)
    onnx.helper.set_model_props(wrapped, {PREFIX + key: value for key, value in facts.items()})
    step("proof")
    adoption = _proven(out, wrapped, inspected)
    adoption.findings = [
        *inspected.findings,
        Finding("receptive field", f"{reach} pixels"),
        Finding("arithmetic", "not known" if macs is None else f"{macs / 1e3:.3g} kMAC a pixel"),
        Finding("precision", precision),
    ]
    return adoption


def _task(inspected: Inspected) -> str:
    if isinstance(inspected.reading, MapReading):
        return "classify" if inspected.reading.way == SCORES else "segment"
    return "restore" if inspected.network.result.scale == 1 else "enlarge"


def _steps(on_progress: Progress | None) -> Callable[[str], None]:
    if on_progress is None:
        return lambda name: None
    return lambda name: on_progress(name, _STEPS.index(name), len(_STEPS))


def _facts(inspected: Inspected) -> dict[str, str]:
    """Metadata that say what the network is and where it came from."""
    network, sizes, reading = inspected.network, inspected.sizes, inspected.reading
    states = network.ports.states
    channels = sum(one.channels for one in states)
    state = [{"name": "state", "channels": channels, "divisor": one.divisor} for one in states[:1]]
    origin = {
        "file": inspected.foreign.path.name,
        "sha256": inspected.foreign.sha256,
        "range": reading.given.key,
        "output": reading.way,
        "layout": network.ports.layout.axes,
    }
    if isinstance(reading, Reading):
        origin["output_range"] = reading.returned.key
    if network.ports.noise:
        origin["noise_level"] = f"{network.noise_level:g}"
    facts = {
        "format": "1",
        "input_range": "[0, 1]",
        "scale": str(network.result.scale),
        "size_multiple": str(inspected.grid if sizes.fixed else sizes.multiple),
        "state": json.dumps(state),
        "recipe_hash": "",
        "quality": "{}",
        "origin": json.dumps(origin, ensure_ascii=False),
        "notice": _NOTICE,
    }
    if isinstance(reading, MapReading) and reading.way == SCORES:
        return facts | {"output": json.dumps([1, reading.classes])}
    if isinstance(reading, MapReading):
        facts |= {"format": "2", "overlay": reading.way}
    if sizes.fixed:
        facts |= {"format": "2", "tile": json.dumps(sizes.fixed), "halo": str(inspected.halo)}
    return facts


def _proven(out: Path, wrapped: ModelProto, inspected: Inspected) -> Adoption:
    """Write the file beside its place, run it, and only then put it there."""
    partial = out.with_name(f".{out.stem}.adopting.onnx")
    content = wrapped.SerializeToString(deterministic=True)
    try:
        write(partial, content)
        spec = read_model(partial).spec
        error = prove(partial, inspected.network, inspected.reading, spec, inspected.frames)
        tried = runtimes(partial, inspected.frames[0])
        runs_on = {name: why.replace(str(partial), str(out)) for name, why in tried.items()}
    finally:
        partial.unlink(missing_ok=True)
    write(out, content)
    return Adoption(out, spec, [], error, runs_on)

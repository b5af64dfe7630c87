"""``edgerecon fit`` for a device that is not here: what its roofline allows. A bound, not a measurement."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgerecon.core.errors import DataError, UsageError
from edgerecon.core.json import plain
from edgerecon.core.shipped import resource_dir
from edgerecon.deploy.fit.fit import Requirement
from edgerecon.engines import backends
from edgerecon.hardware.device import load_device
from edgerecon.measure.roofline import Roofline, bound, count
from edgerecon.modelfile.file import read_model
from edgerecon.modelfile.variants import variant_of


@dataclass(frozen=True)
class Bound:
    """A model on the device. ssim, gcnr: as the file states them. roofline: no engine can be faster."""

    model: str
    precision: str
    ssim: float
    gcnr: float
    roofline: Roofline


@dataclass(frozen=True)
class BoundFit:
    """Every file of a task that the device has a rate for, best quality first."""

    device: str
    requirement: Requirement
    shape: tuple[int, int]
    bounds: list[Bound]

    @property
    def possible(self) -> list[Bound]:
        """Those that have the quality asked for and are not ruled out by the bound."""
        return [
            one
            for one in self.bounds
            if one.roofline.ms <= self.requirement.deadline_ms
            and (self.requirement.min_ssim is None or one.ssim >= self.requirement.min_ssim)
            and (self.requirement.min_gcnr is None or one.gcnr >= self.requirement.min_gcnr)
        ]

    @property
    def sentence(self) -> str:
        """The outcome, and what it is not."""
        height, width = self.shape
        caveat = "This is a roofline bound from the device's documents, not a measurement: measure on the device."
        if not self.possible:
            return f"Ruled out on {self.device}: no model can hold {self.requirement.deadline_ms:g} ms. {caveat}"
        one = self.possible[0]
        return (
            f"{one.model} in {one.precision} is not ruled out on {self.device}: at least {one.roofline.ms:.3g} ms for "
            f"{height}×{width}, {one.roofline.binds} binds. {caveat}"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        rows = [
            asdict(one) | {"bound_ms": one.roofline.ms, "binds": one.roofline.binds, "possible": one in self.possible}
            for one in self.bounds
        ]
        return {
            "device": self.device,
            "requirement": asdict(self.requirement),
            "shape": list(self.shape),
            "bounds": plain(rows),
            "is_a_measurement": False,
            "sentence": self.sentence,
        }


def fit_bound(
    device: str,
    requirement: Requirement,
    *,
    task: str = "despeckle",
    models: Path | None = None,
    shape: tuple[int, int] = (512, 512),
) -> BoundFit:
    """Bound every model of a task on a device of devices/.

    Raises:
        UsageError: no such device, or one without documented rates or memory bandwidth. DataError: no model of the
        task.
    """
    profile = load_device(device)
    if profile.peak and profile.bandwidth_gbs is None:  # networks this narrow are bound by memory as often as not
        raise UsageError(
            f"{device} has no documented memory bandwidth, and arithmetic alone is no bound for these models: "
            f"add bandwidth_gbs to devices/{device}.toml with its source, or measure on the device"
        )
    bounds: list[Bound] = []
    paths = sorted((models or resource_dir("export")).glob("*.onnx"))
    specs = [(path, read_model(path).spec) for path in paths]
    known = [backends()[name] for name in profile.backends if name in backends()]
    gpu = [one for one in known if one.kind == "gpu"]  # on a Jetson its GPU is what is meant
    taken = {key for one in gpu or known for key in one.runs}
    for path, spec in specs:
        kind = variant_of(spec)
        runs = kind is not None and kind.key in taken
        if spec.task != task or spec.precision not in profile.peak or not runs:
            continue
        roofline = bound(count(path, *shape), profile, spec.precision)
        ssim, gcnr = (spec.quality.get(key, math.nan) for key in ("validation_ssim", "sample_gcnr"))
        bounds.append(Bound(path.stem, spec.precision, ssim, gcnr, roofline))
    if not any(spec.task == task for _, spec in specs):
        raise DataError(f"no model for the task '{task}': make one with  edgerecon export RECIPE")
    if not bounds:
        raise UsageError(f"{device} has no documented rate for the precisions of these models: no bound")
    bounds.sort(key=lambda one: (-one.ssim if math.isfinite(one.ssim) else 1, one.roofline.ms))
    return BoundFit(device, requirement, shape, bounds)

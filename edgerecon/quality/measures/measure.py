"""What a measure of the picture says of itself: one record at the end of its file, from which every list is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from edgerecon.core.records import Records
from edgerecon.quality.measures.before_after import BeforeAfter

GROUP = "edgerecon.measures"
"""Entry points of other packages: ``name = "module:MEASURES"``."""

FOLDERS = ("edgerecon.quality.measures",)
Better = Literal["higher", "lower", "one", "zero"]
Need = Literal["input", "sequence", "lesion"]


@dataclass(frozen=True)
class Measure:
    """One measure of a frame before and after. None of them is a training loss; none matches gain or offset first.

    Attributes:
        key: in JSON, rows and gates. label: for readers. unit: "" for a ratio.
        digits: to show behind the point.
        better: which way is better; "one" and "zero": the nearer the better.
        needs: fields of ``BeforeAfter`` without which it is nan.
        fn: the measure; nan where the frame has nothing to measure.
        main: whether it stands in the short table of every method, not in the model's own alone.
    """

    key: str
    label: str
    unit: str
    digits: int
    better: Better
    needs: tuple[Need, ...]
    fn: Callable[[BeforeAfter], float]
    main: bool = False

    @property
    def heading(self) -> str:
        """Label and unit."""
        return f"{self.label}, {self.unit}" if self.unit else self.label

    def of(self, frame: BeforeAfter) -> float:
        """The figure of a frame; nan when a need is not met."""
        if any(getattr(frame, need) is None for need in self.needs):
            return float("nan")
        return float(self.fn(frame))

    def loss(self, value: float, reference: float) -> float:
        """How much worse a figure is than a reference, as a share; below 0 it is better.

        Of a measure that is best at 1: how much farther from 1 it is. Of the others: of the reference, and where the
        unit is grey levels of a tenth of their range at least, so that a quarter of a level, which no display shows,
        is a hundredth.
        """
        if self.better == "one":
            return abs(1 - value) - abs(1 - reference)
        worse = {"higher": reference - value, "lower": value - reference, "zero": abs(value) - abs(reference)}
        least = 25.5 if self.unit == "grey levels" else 1e-9
        return worse[self.better] / max(abs(reference), least)


@cache
def measures() -> Mapping[str, Measure]:
    """Every measure by key: those of this folder, the short table's first, then those of other packages."""
    return Records(Measure, "MEASURES", FOLDERS, GROUP, "key", order=lambda one: (not one.main, one.key))


def main_measures() -> list[str]:
    """Keys of the measures of the short table."""
    return [one.key for one in measures().values() if one.main]


def measure_frame(frame: BeforeAfter, keys: Iterable[str] | None = None) -> dict[str, float]:
    """Key → figure of one frame, of the named measures or of all."""
    known = measures()
    return {key: known[key].of(frame) for key in (known if keys is None else keys)}


def loss_violations(found: Mapping[str, float], reference: Mapping[str, float], limit: float | None) -> list[str]:
    """One line for each figure that is worse than the reference by more than a share; see ``Measure.loss``.

    What neither could measure refuses nothing, and no limit nothing either.
    """
    lines = []
    for key, before in reference.items():
        one, value = measures()[key], found.get(key, float("nan"))
        if limit is None or before != before:
            continue
        lost = one.loss(value, before)
        if not lost <= limit:
            lines.append(f"{one.label} is {value:.4g}, in fp32 {before:.4g}: {lost:.1%} worse, allowed is {limit:.1%}")
    return lines


def picture_violations(
    found: Mapping[str, float], limits: Mapping[str, tuple[float | None, float | None]]
) -> list[str]:
    """One line for each figure beyond its (least, greatest); one that could not be measured passes no gate."""
    lines = []
    for key, (least, greatest) in limits.items():
        one, value = measures()[key], found.get(key, float("nan"))
        unit = f" {one.unit}" if one.unit else ""
        if value != value:
            lines.append(f"{one.label} could not be measured: the frames show nothing to measure it on")
        elif least is not None and value < least:
            lines.append(f"{one.label} is {value:.4g}{unit}, at least {least:g}{unit} is asked for")
        elif greatest is not None and value > greatest:
            lines.append(f"{one.label} is {value:.4g}{unit}, allowed is {greatest:g}{unit}")
    return lines

"""What a filter of a stream says of itself: one record in its own file, from which every list is made."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from edgerecon.core.errors import UsageError
from edgerecon.core.frame import Image
from edgerecon.core.pose import Pose
from edgerecon.core.records import Records

GROUP = "edgerecon.stream_filters"
"""Entry points of other packages: ``name = "module:FILTERS"``."""

Run = Callable[[Image], Image]
"""float32 (H, W) in [0, 1] → the same, maybe of another size. It may keep buffers and remember frames."""


@dataclass(frozen=True)
class Place:
    """Where the pixels of a frame lie. spacing_mm: (row, column) distance of their centres. None: nobody knows."""

    spacing_mm: tuple[float, float] | None = None
    pose: Pose | None = None


Move = Callable[[Place, Sequence[int], Sequence[int]], Place]
"""The place of a frame and its (H, W) before and after a filter → the place after it."""


@dataclass(frozen=True)
class Parameter:
    """A number that a filter takes. low, high: what it may be. whole: whether it is a whole number."""

    name: str
    default: float
    low: float
    high: float
    whole: bool = False


@dataclass(frozen=True)
class StreamFilter:
    """One filter.

    Attributes:
        name: what ``--filter`` takes. title: one phrase for documents. parameters: in the order of ``make``'s.
        make: (values of the parameters by name) → what runs on the frames of one stream, in order.
        move: (values of the parameters by name) → how the place of a frame follows its pixels. None: every pixel stays
            where it is. Filters that move pixels come before the model.
    """

    name: str
    title: str
    parameters: tuple[Parameter, ...]
    make: Callable[..., Run]
    move: Callable[..., Move] | None = None


@cache
def stream_filters() -> Mapping[str, StreamFilter]:
    """Every filter by name: those of this folder, then those of other packages."""
    return Records(StreamFilter, "FILTERS", ("edgerecon.stream.filters",), GROUP)


@dataclass(frozen=True)
class ChosenFilter:
    """A filter with its values, ready to be made for a stream."""

    record: StreamFilter
    values: Mapping[str, float]

    def make(self) -> Run:
        """What runs on the frames of one stream; a new one remembers nothing."""
        return self.record.make(**self.values)

    def moved(self, place: Place, before: Sequence[int], after: Sequence[int]) -> Place:
        """The place of a frame behind this filter, see ``Move``."""
        return place if self.record.move is None else self.record.move(**self.values)(place, before, after)

    def but(self, name: str, value: float) -> ChosenFilter:
        """The same filter with another value.

        Raises:
            UsageError: it has no such parameter, or the value is beyond its limits.
        """
        parameter = next((one for one in self.record.parameters if one.name == name), None)
        if parameter is None:
            raise UsageError(f"the filter {self.record.name} has no '{name}'")
        return replace(self, values={**self.values, name: _checked(self.record.name, parameter, f"{value:g}")})


def open_filters(texts: Sequence[str]) -> list[ChosenFilter]:
    """Filters of "NAME" or "NAME:key=value,key=value", in order.

    Raises:
        UsageError: an unknown name or key, a value that is no number or beyond its limits, or a key given twice.

    Examples:
        >>> open_filters(["median:size=5"])[0].values
        {'size': 5}
    """
    return [_parse(text) for text in texts]


def _parse(text: str) -> ChosenFilter:
    name, _, rest = text.partition(":")
    record = stream_filters().get(name)
    if record is None:
        raise UsageError(f"there is no filter '{name}': choose one of {', '.join(sorted(stream_filters()))}")
    values: dict[str, float] = {one.name: _number(one, one.default) for one in record.parameters}
    given: set[str] = set()
    for pair in filter(None, rest.split(",")):
        key, equals, value = pair.partition("=")
        parameter = next((one for one in record.parameters if one.name == key), None)
        if parameter is None or not equals:
            known = ", ".join(f"{one.name}={one.default:g}" for one in record.parameters) or "nothing"
            raise UsageError(f"the filter {name} has no '{pair}': it takes {known}")
        if key in given:
            raise UsageError(f"the filter {name} has {key} twice: give it once")
        given.add(key)
        values[key] = _checked(name, parameter, value)
    return ChosenFilter(record, values)


def _checked(name: str, parameter: Parameter, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    within = parameter.low <= value <= parameter.high and not (parameter.whole and value != int(value))
    if not within:
        kind = "a whole number" if parameter.whole else "a number"
        limits = f"from {parameter.low:g} to {parameter.high:g}"
        raise UsageError(f"{parameter.name} of the filter {name} is {kind} {limits}, not '{text}'")
    return _number(parameter, value)


def _number(parameter: Parameter, value: float) -> float:
    return int(value) if parameter.whole else value

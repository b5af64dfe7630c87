"""Filters in a row, whose numbers may be set while they run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter_ns

from edgerecon.core.errors import first_line
from edgerecon.core.frame import Image
from edgerecon.stream.filters.filter import ChosenFilter, Place, Run
from edgerecon.stream.sinks.base import Slider


class FilterSettings:
    """The filters at one place of a stream; shared by all engines there, and set from any thread.

    Attributes:
        chosen: the filters in order, each with its values of now.
    """

    def __init__(self, filters: Sequence[ChosenFilter]) -> None:
        self.chosen = list(filters)

    def sliders(self, place: str) -> list[Slider]:
        """What may be set; a frame's size stays as it is. place: where in the stream the filters are, one word."""
        return [
            Slider(
                f"{place} {at} {parameter.name}",
                one.record.name,
                parameter.name,
                one.values[parameter.name],
                parameter.low,
                parameter.high,
                parameter.whole,
            )
            for at, one in enumerate(self.chosen)
            for parameter in (one.record.parameters if one.record.move is None else ())
        ]

    def slide(self, key: str, value: float) -> None:
        """Give a parameter another value; it holds from the next frame on. key: of one of the sliders.

        Raises:
            UsageError: the value is beyond the parameter's limits.
        """
        _, at, name = key.split(" ")
        self.chosen[int(at)] = self.chosen[int(at)].but(name, value)


class FilterError(Exception):
    """A filter did not take a frame; the message says which and why."""


class FilterChain:
    """What runs on the frames of one stream, in order. One that was set anew remembers no frames."""

    def __init__(self, settings: FilterSettings) -> None:
        self._settings = settings
        self._made: list[tuple[ChosenFilter, Run]] = []
        self._sizes: list[tuple[Sequence[int], Sequence[int]]] = []

    def start(self) -> None:
        """Forget every frame."""
        self._made = []

    def run(self, image: Image, stages_ms: dict[str, float], behind: str = "") -> Image:
        """The frame, filtered; it may be another array.

        Args:
            stages_ms: what each filter took is added under its name. behind: follows the names.

        Raises:
            FilterError: filters of other packages raise anything.
        """
        self._sizes = []
        for chosen, run in self._running():
            name, began, before = chosen.record.name + behind, perf_counter_ns(), image.shape
            with _failing(chosen):
                image = run(image)
            stages_ms[name] = stages_ms.get(name, 0.0) + (perf_counter_ns() - began) / 1e6
            self._sizes.append((before, image.shape))
        return image

    def moved(self, place: Place) -> Place:
        """The place of the last frame behind the filters, from the one before them."""
        for (chosen, _), (before, after) in zip(self._made, self._sizes, strict=True):
            place = chosen.moved(place, before, after)
        return place

    def _running(self) -> list[tuple[ChosenFilter, Run]]:
        wanted = self._settings.chosen
        if len(self._made) != len(wanted):
            self._made = [(one, _made(one)) for one in wanted]
        for at, one in enumerate(wanted):
            if self._made[at][0] is not one:
                self._made[at] = (one, _made(one))
        return self._made


def _made(chosen: ChosenFilter) -> Run:
    with _failing(chosen):
        return chosen.make()


@contextmanager
def _failing(chosen: ChosenFilter) -> Iterator[None]:
    """Whatever a filter raises costs the frame that it failed on: also what a library leaves the program by."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise FilterError(f"the filter {chosen.record.name} failed: {first_line(error)}") from error

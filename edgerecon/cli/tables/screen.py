"""The screen that tables are printed on: it obeys no name, and drops columns before it cuts one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from edgerecon.core.errors import printable

_WORD = 16
"""Longer words of a text are broken before a column is left out."""


class Screen(Console):
    """A console on which the control characters of a file's or a stream's name are spelled out."""

    def __init__(self, **options: Any) -> None:
        nonsense = [name for name in ("COLUMNS", "LINES") if not os.environ.get(name, "0").isascii()]
        sane = {name: value for name, value in os.environ.items() if name not in nonsense}
        super().__init__(_environ=sane, **options)  # rich takes "²" for a number

    def say(self, text: str) -> None:
        """Print a sentence with names in it: none is markup, and none is folded, so that it can be copied."""
        self.print(text, markup=False, soft_wrap=True)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(_lines_printable(text), **options)  # here, where the width is not measured yet

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(_lines_printable(segment.text), segment.style)


def _lines_printable(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


def print_table(console: Console, table: Table, spare: Sequence[str] = ()) -> None:
    """Print a table whose first column, the names, stays whole: on a narrow screen others are left out, and it is said.

    Args:
        spare: headings of columns that may be left out, the first one first. Where they do not suffice, names are
            folded.
    """
    left_out = fit(console, table, spare)
    console.print(table)
    if left_out:
        console.print(
            f"Too narrow for {', '.join(left_out)}: widen the terminal or set COLUMNS", style="dim", markup=False
        )


def fit(console: Console, table: Table, spare: Sequence[str] = ()) -> list[str]:
    """Leave out columns of a table until it fits, in place; returns their headings. See ``print_table``."""
    names = table.columns[0]
    names.no_wrap = True
    left_out: list[str] = []
    for heading in spare:
        if width_needed(console, table) <= console.width:
            break
        kept = [column for column in table.columns if str(column.header) != heading]
        if len(kept) < len(table.columns):
            left_out.append(heading)
            table.columns[:] = kept
    if width_needed(console, table) > console.width:
        names.no_wrap, names.overflow = False, "fold"
    _share_room(console, table)
    return left_out


def width_needed(console: Console, table: Table) -> int:
    """Characters: width below which a name or a number is cut, or a word of a text broken."""
    edges = len(table.columns) + 1
    return edges + sum(2 + _column_needed(console, column) for column in table.columns)


def _share_room(console: Console, table: Table) -> None:
    """Give columns of text what is left: rich would shorten the longest ones first, and break their words."""
    room = console.width - width_needed(console, table)
    texts = sorted((c for c in table.columns if not c.no_wrap), key=lambda column: _measure(console, column).maximum)
    for left, column in zip(range(len(texts), 0, -1), texts, strict=True):
        needed = _column_needed(console, column)
        more = max(0, min(_measure(console, column).maximum - needed, room // left))
        column.width = needed + more
        room -= more


def _column_needed(console: Console, column: Column) -> int:
    size = _measure(console, column)
    return size.maximum if column.no_wrap else min(_WORD, size.minimum)


def _measure(console: Console, column: Column) -> Measurement:
    """Width of a column's longest word, and of its longest cell."""
    options = console.options.update(max_width=10_000)
    cells = [Measurement.get(console, options, cell) for cell in (column.header, *column.cells)]
    return Measurement(max(cell.minimum for cell in cells), max(cell.maximum for cell in cells))

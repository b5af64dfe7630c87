"""The counters of a stream, or of many, as a live table in the terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edgerecon.cli.tables.screen import fit
from edgerecon.core.errors import printable
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.serve.ledger import Look

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 60
"""Bars of the latency's strip, where the terminal is wide enough."""

_SPARE = ("gaps", "lost", "lives", "failed", "raw", "late", "dropped", "in", "engine", "presented", "last ms")
"""Columns that a narrow terminal can do without, the first one first."""
_STATES = {"running": "green", "waiting": "yellow", "stalled": "yellow", "failed": "red"}


@contextmanager
def counter_table(console: Console, title: str, deadline_ms: float) -> Iterator[Callable[[Counters], None]]:
    """Four times a second, what the viewer shows too: fates, ladder, latency against the deadline, the source's state.

    Args:
        deadline_ms: latencies above it are red.
    """
    with Live(console=console, auto_refresh=False, transient=True) as live, _logs_above():
        yield lambda counters: live.update(_table(console, counters, title, deadline_ms), refresh=True)


@contextmanager
def served_live(console: Console) -> Iterator[Callable[[Mapping[str, Look]], None]]:
    """``served_table``, renewed as often as it is called."""
    with Live(console=console, auto_refresh=False, transient=True) as live, _logs_above():
        yield lambda looks: live.update(served_table(console, looks), refresh=True)


def served_table(console: Console, looks: Mapping[str, Look]) -> Table:
    """One line a stream: its state, every frame's fate over all its lives, and what its last frame took."""
    table = Table()
    for heading in ("stream", "state", "engine"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "engine")
    names = ("frames_in", "presented", "late", "raw_shown", "dropped", "failed", "lost", "gaps")
    for heading in (
        "in",
        "presented",
        "late",
        "raw",
        "dropped",
        "failed",
        "lost",
        "gaps",
        "missed %",
        "last ms",
        "lives",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, look in looks.items():
        tally = look.tally
        missed = f"{100 * tally.missed / tally.frames_in:.2f}" if tally.frames_in else ""
        where = printable(f"{name} on {look.place}" if look.place else name)
        table.add_row(
            Text(where),
            Text(look.state, _STATES.get(look.state, "")),
            Text(look.rung),
            *(str(getattr(tally, count)) for count in names),
            missed,
            f"{look.latency_ms:.1f}",
            str(look.lives),
        )
    left_out = fit(console, table, _SPARE)
    table.caption = f"too narrow for {', '.join(left_out)}" if left_out else None
    return table


@contextmanager
def _logs_above() -> Iterator[None]:
    """Let log lines go where the table makes room for them: handlers hold the stderr that was there before it."""
    handlers = [one for one in logging.getLogger().handlers if type(one) is logging.StreamHandler]
    before = [handler.setStream(sys.stderr) for handler in handlers]
    try:
        yield
    finally:
        for handler, stream in zip(handlers, before, strict=True):
            if stream is not None:
                handler.setStream(stream)


def _table(console: Console, counters: Counters, title: str, deadline_ms: float) -> Table:
    width = max(8, min(_WIDTH, console.width - len("dropped, failed") - 7))  # 7: the table's edges
    table = Table(title=Text(printable(title)), show_header=False)
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(min_width=width, overflow="fold")
    state = "[red]stalled: the source gives no frames[/]" if counters.stalled else "[green]frames come[/]"
    table.add_row("source", f"{state}, stalled {counters.stalls} times, {counters.gaps} frames lost before us")
    table.add_row("frames in", f"{counters.frames_in}")
    table.add_row("presented", f"{counters.presented}, {counters.late} late, {counters.raw_shown} raw")
    table.add_row("dropped, failed", f"{counters.dropped}, {counters.failed}")
    table.add_row("engine", _ladder(counters))
    table.add_row("", f"hung {counters.hung} times, opened again {counters.replaced} times")
    recent = list(counters.recent_ms)[-width:]
    late = counters.last_latency_ms > deadline_ms
    table.add_row(
        "latency", f"[{'red' if late else 'green'}]{counters.last_latency_ms:6.2f} ms[/] of {deadline_ms:.1f}"
    )
    table.add_row("", sparkline(recent, deadline_ms))
    for name, count in [
        *counters.drops.most_common(3),
        *counters.failures.most_common(2),
        *counters.raws.most_common(3),
    ]:
        table.add_row(f"{count}", Text(printable(name)))
    return table


def _ladder(counters: Counters) -> Text:
    text = Text()
    for rung, name in enumerate(counters.ladder):
        text.append(" → " if rung else "")
        text.append(printable(name), style="bold" if rung == counters.rung else "dim")
    return text


def sparkline(latencies_ms: Sequence[float], deadline_ms: float) -> Text:
    """One character a frame: full height is the deadline, red what is over it."""
    text = Text()
    for ms in latencies_ms:
        height = min(int(ms / deadline_ms * len(_BARS)), len(_BARS) - 1)
        text.append(_BARS[height], style="red" if ms > deadline_ms else "green")
    return text

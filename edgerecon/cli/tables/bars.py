"""Progress bars, gone when the work is done; where there is no terminal, a line every ten seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from edgerecon.stream.accounting.counters import Counters

LINE_EVERY_S = 10.0


class _Lines:
    """Prints how far the work has come, where nobody sees a bar move: into a file, a pipe or a journal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = time.monotonic() + LINE_EVERY_S

    def show(self, what: str, done: int, total: int, figures: str = "") -> None:
        """One line, unless the last one is less than ten seconds old. A bar shows the same on a terminal."""
        if self._console.is_terminal or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LINE_EVERY_S
        line = ", ".join(filter(None, (f"{what}: {done} of {total}", figures)))
        self._console.print(line, markup=False, soft_wrap=True)


def _bar(console: Console, *extra: Any) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        *extra,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


@contextmanager
def count_bar(console: Console, what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for (done, total)."""
    with _bar(console, MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn()) as bar:
        task, lines = bar.add_task(what, total=None), _Lines(console)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            lines.show(what, done, total)

        yield show


@contextmanager
def work_bar(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for (what, done, total)."""
    with _bar(console, MofNCompleteColumn(), TimeRemainingColumn()) as bar:
        task, lines = bar.add_task("Reading", total=None), _Lines(console)

        def show(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)
            lines.show(what, done, total)

        yield show


@contextmanager
def frame_bar(console: Console) -> Iterator[Callable[[Counters], None]]:
    """A live line of a stream's counters."""
    with _bar(console, TextColumn("{task.fields[counts]}")) as bar:
        task = bar.add_task("Streaming", total=None, counts="")

        def show(counters: Counters) -> None:
            counts = (
                f"{counters.presented} frames, {counters.late} late, {counters.dropped} dropped, "
                f"{counters.failed} failed, {counters.last_latency_ms:.1f} ms"
            )
            bar.update(task, counts=counts)

        yield show


@contextmanager
def training_bar(console: Console, what: str) -> Iterator[Callable[[Any], None]]:
    """A bar with loss and validation figures for ``edgerecon.workshop.train.loop.Progress``."""
    columns = MofNCompleteColumn(), TextColumn("{task.fields[figures]}"), TimeRemainingColumn()
    with _bar(console, *columns) as bar:
        task, lines = bar.add_task(f"Training {what}", total=None, figures=""), _Lines(console)

        def show(progress: Any) -> None:
            figures = f"loss {progress.loss:.4f}"
            if progress.psnr_db == progress.psnr_db:
                figures += f", validation {progress.psnr_db:.2f} dB, SSIM {progress.ssim:.3f}"
            figures += f", {progress.images_per_second:.0f} crops/s"
            bar.update(task, completed=progress.step, total=progress.steps, figures=figures)
            lines.show(f"Training {what}", progress.step, progress.steps, figures)

        yield show

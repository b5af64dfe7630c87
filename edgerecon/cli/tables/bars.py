"""Progress bars, gone when the work is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from edgerecon.stream.accounting.counters import Counters


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
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def work_bar(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for (what, done, total)."""
    with _bar(console, MofNCompleteColumn(), TimeRemainingColumn()) as bar:
        task = bar.add_task("Reading", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


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
        task = bar.add_task(f"Training {what}", total=None, figures="")

        def show(progress: Any) -> None:
            figures = f"loss {progress.loss:.4f}"
            if progress.psnr_db == progress.psnr_db:
                figures += f", validation {progress.psnr_db:.2f} dB, SSIM {progress.ssim:.3f}"
            figures += f", {progress.images_per_second:.0f} crops/s"
            bar.update(task, completed=progress.step, total=progress.steps, figures=figures)

        yield show

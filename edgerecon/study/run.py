"""The study: every system of the published work trained, measured, exported and timed, system after system."""

from __future__ import annotations

import importlib
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from edgerecon.core.errors import DataError, EdgereconError, UsageError
from edgerecon.core.files import write
from edgerecon.hardware.device import host_profile
from edgerecon.study.context import Context
from edgerecon.study.output import DATA, write_report
from edgerecon.study.profile import Profile
from edgerecon.study.report import StudyReport, read_report
from edgerecon.study.results import Result
from edgerecon.study.speed import time_models
from edgerecon.study.systems import chosen
from edgerecon.study.turns import Turns

SECONDS = "seconds"
Progress = Callable[[str, int, int], None]


def run_study(
    profile: Profile,
    folder: Path,
    only: Sequence[str] = (),
    *,
    resume: bool = False,
    recordings: Path | None = None,
    on_progress: Progress | None = None,
    budget_s: float | None = None,
) -> StudyReport:
    """Run the systems and write their report into ``folder``.

    Each system has a folder of its own there, in which it goes on when ``resume`` is given; then the report also keeps
    what earlier runs found about other systems. It is written anew after every system, so that what is done can be read
    while the rest runs.

    Args:
        recordings: real ones, to evaluate on, never to train; see ``Context``.
        only: see ``chosen``; networks that are named there share the time of their system, see ``Turns``.
        budget_s: wall clock of a long study's trainings, see ``Turns``; a later run goes on from there.

    Raises:
        UsageError: see ``chosen`` and ``Turns``.
        EdgereconError: a system failed; what it had trained, and the report, stay.
    """
    progress = on_progress or (lambda what, done, total: None)
    report = _earlier(folder, profile) if resume else StudyReport(profile.name, [], [], {})
    systems = chosen(only)
    if not resume:
        for name in systems:
            _clear(folder / name)
    networks = [name for name in only if "/" in name]
    if networks and profile.name != "long":
        raise UsageError(f"{networks[0]}: only a long study trains networks one by one: add  --profile long")
    turns = Turns(folder, budget_s, progress, named=networks) if profile.name == "long" else None
    for name in _queue(turns, systems):
        module = importlib.import_module(f"edgerecon.study.systems.{name}")
        result = Result(name, module.TITLE, module.PAPER)
        start = time.monotonic()
        try:
            module.run(Context(profile, folder / name, result, recordings, progress, turns))
        finally:
            report.seconds[name] = _add_up(folder / name / SECONDS, time.monotonic() - start)
        report.replace(result)
        if turns is not None:
            report.trained |= turns.summaries(name)  # of other systems as far as their figures tell
        else:
            report.speed += time_models([result], profile, progress)
        write_report(report, folder)
    if turns is not None:
        report.speed += time_models([one for one in report.results if one.name in systems], profile, progress)
        write_report(report, folder)
    return report


def _queue(turns: Turns | None, systems: tuple[str, ...]) -> Iterator[str]:
    """The systems as they run: a long study comes back to those whose networks still have turns."""
    if turns is not None:
        turns.begin_round(systems)
    yield from systems
    while turns is not None and turns.begin_round(systems):
        yield from filter(turns.has_work, systems)


def _earlier(folder: Path, profile: Profile) -> StudyReport:
    """What earlier runs of this profile found; an empty report when there is none that can be read."""
    try:
        found = read_report(folder / DATA)
    except DataError:
        found = StudyReport(profile.name, [], [], {})
    return (
        replace(found, host=host_profile()) if found.profile == profile.name else StudyReport(profile.name, [], [], {})
    )


def _add_up(path: Path, seconds: float) -> float:
    """Wall clock of a system over all runs that took part in it, kept beside what they left."""
    try:
        seconds += float(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # the first run, or a damaged file
        pass
    if path.parent.is_dir():
        write(path, f"{seconds:.3f}\n".encode())
    return seconds


def _clear(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise EdgereconError(f"cannot remove {folder}: {error.strerror or error}") from None

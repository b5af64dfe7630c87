"""The verb that reproduces the published tables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from edgerecon.cli.verbs.duration import seconds as duration_s
from edgerecon.cli.verbs.output import Json, check_folder, check_json, console, write_json

LOWEST = 19
"""Nice value of a long study, which is to disturb nobody."""


Only = Annotated[
    list[str] | None,
    typer.Option(help="SYSTEM to reproduce, or SYSTEM/NETWORK of a long one; repeatable; default: all."),
]
Profile = Annotated[
    str, typer.Option(help="quick (40 minutes on 2 cores), long (to every network's plateau), full (on a GPU).")
]
Budget = Annotated[
    float | None,
    typer.Option(
        help="Time for the trainings of a long study, e.g. 8h, shared by who still improves; default: to the end.",
        parser=duration_s,
        metavar="TIME",
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where the last run stood.")]
Out = Annotated[
    Path | None,
    typer.Option("-o", "--out", help="Folder for networks and report; default: edgerecon-study/PROFILE."),
]
Recordings = Annotated[
    Path | None, typer.Option(help="Folder of real recordings to evaluate on as well; nothing is trained on them.")
]


def study(
    only: Only = None,
    profile: Profile = "quick",
    budget: Budget = None,
    resume: Resume = False,
    out: Out = None,
    recordings: Recordings = None,
    json: Json = None,
) -> None:
    """Train, measure and time the published systems; one report.

    A long study runs at the lowest priority, goes on after anything with --resume, and shows how far it has come in
    progress.html in its folder. A folder with trained networks is never begun anew.
    """
    from edgerecon.core.errors import UsageError
    from edgerecon.study.profile import profile as size_of
    from edgerecon.study.systems import chosen

    check_json(json)
    size = size_of(profile)
    systems = chosen(only or [])
    if recordings is not None and not recordings.is_dir():
        raise UsageError(f"--recordings: {recordings} is not a folder")
    if budget is not None and profile != "long":
        raise UsageError(f"--budget: the profile {profile} trains for fixed steps: add  --profile long")
    check_folder(out)
    folder = out or Path("edgerecon-study") / profile
    if not resume and any(path for name in systems for path in (folder / name).glob("*.pt")):
        raise UsageError(f"{folder} holds trained networks: go on with --resume, or give another folder with -o")

    from edgerecon.cli.tables.bars import work_bar  # after the checks: what follows imports torch, which takes seconds
    from edgerecon.cli.tables.study import print_study
    from edgerecon.study.output import PAGE
    from edgerecon.study.run import run_study

    if profile == "long" and hasattr(os, "nice"):  # Windows has none
        os.nice(LOWEST)
    screen = console(json)
    with work_bar(screen) as on_progress:
        report = run_study(
            size, folder, only or [], resume=resume, recordings=recordings, on_progress=on_progress, budget_s=budget
        )
    print_study(screen, report)
    write_json(json, report.to_json())
    screen.say(f"Report: {folder / PAGE}")

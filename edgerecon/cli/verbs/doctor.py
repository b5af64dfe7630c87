"""The verb that says what this machine can run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgerecon.cli.verbs.output import Json, console, write_json
from edgerecon.core.errors import EdgereconError


def doctor(
    folder: Annotated[Path, typer.Argument(help="Also look here for recordings that were cut off.")] = Path("."),
    json: Json = None,
) -> None:
    """Say what this machine can run, and what adds the rest."""
    from dataclasses import asdict

    from edgerecon.cli.doctor import diagnose
    from edgerecon.cli.tables.host import doctor_table
    from edgerecon.hardware.device import host_profile

    checks = diagnose(folder)
    console(json).print(doctor_table(checks))
    write_json(json, {"checks": [asdict(check) for check in checks], "host": host_profile()})
    if any(check.required and not check.ok for check in checks):
        raise EdgereconError("something required is missing: see the commands above")

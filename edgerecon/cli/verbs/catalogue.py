"""Verbs that list: models and devices."""

from __future__ import annotations

from typing import Annotated

import typer

from edgerecon.cli.verbs.output import Json, check_json, console, write_json


def models(
    every: Annotated[bool, typer.Option("--all", help="List the files of every precision too.")] = False,
    json: Json = None,
) -> None:
    """List the models that ship, with size and quality."""
    from edgerecon.cli.tables.models import print_models
    from edgerecon.modelfile.catalogue import model_table

    check_json(json)
    rows = model_table()
    print_models(console(json), rows, every)
    write_json(json, rows)


def devices(
    name: Annotated[
        str | None, typer.Argument(help="A device; none: all of them; host: this machine, measured.")
    ] = None,
    json: Json = None,
) -> None:
    """Show what devices can do, with the source of every number."""
    from edgerecon.cli.tables.host import print_devices
    from edgerecon.hardware.device import device_table

    check_json(json)
    rows = device_table(name)
    print_devices(console(json), name, rows)
    write_json(json, rows)

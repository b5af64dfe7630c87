"""The verb that runs many streams."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgerecon.cli.verbs.output import Json, check_json, console, leave_if_interrupted, write_json
from edgerecon.core.errors import EdgereconError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from edgerecon.stream.serve.ledger import Look
    from edgerecon.stream.serve.supervisor import Make


def serve(
    config: Annotated[Path, typer.Argument(help="TOML file with a [[stream]] table for each stream.")],
    ray: Annotated[
        str | None, typer.Option(help="Run on the Ray cluster at HOST:PORT, ray://HOST:PORT, or auto.")
    ] = None,
    tui: Annotated[bool, typer.Option("--tui", help="Show all counters live in the terminal.")] = False,
    log_json: Annotated[bool, typer.Option("--log-json", help="Write logs as JSON lines on stderr.")] = False,
    json: Json = None,
) -> None:
    """Run the streams that a file lists, each by itself.

    A [[stream]] has a name, a source and, where wanted: model, backend, precision, threads, sinks, deadline_ms, policy,
    late, ladder, loop, frames, seconds; with --ray also cpus and gpus. SIGHUP reads the file again: streams that did
    not change go on. SIGTERM ends all in order. Exit status 1 when a stream failed.
    """
    from contextlib import ExitStack
    from threading import Event

    from edgerecon.cli.tui import served_live, served_table
    from edgerecon.core import logs as json_log
    from edgerecon.stream.process.signals import signals_that_stop
    from edgerecon.stream.serve.config import load_config
    from edgerecon.stream.serve.report import failures, served
    from edgerecon.stream.serve.supervisor import Supervisor

    check_json(json)
    if log_json:
        json_log.log_json()
    wanted = load_config(config)
    screen, stop, reload, said = console(json), Event(), Event(), set[str]()
    with ExitStack() as stack:
        make = stack.enter_context(_start(ray))
        terminated = stack.enter_context(signals_that_stop(stop, reload))
        show = stack.enter_context(served_live(screen)) if tui else None

        def told(looks: Mapping[str, Look]) -> None:
            for name, look in looks.items():
                for address in look.addresses:
                    if address not in said:
                        said.add(address)
                        screen.say(f"{name}: {address}")
            if show:
                show(looks)

        supervisor = Supervisor(make)
        interrupted = supervisor.run(wanted, lambda: load_config(config), stop, reload, told)
        looks = supervisor.looks()
    screen.print(served_table(screen, looks))
    write_json(json, served(looks))
    if failed := failures(looks):
        raise EdgereconError(failed)
    leave_if_interrupted(interrupted and not terminated.is_set())


def _start(ray: str | None) -> AbstractContextManager[Make]:
    """What makes the streams: processes here, or on a Ray cluster."""
    if ray is None:
        from edgerecon.stream.serve.local import start_locally

        return start_locally()
    from edgerecon.stream.serve.placed import start_on_cluster

    return start_on_cluster(ray)

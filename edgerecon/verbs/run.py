"""Verbs that run a model here: demo, stream, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgerecon.errors import EdgereconError, UsageError
from edgerecon.verbs.output import Json, check_json, console, leave_if_interrupted, write_json


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the video, the page and the JSON report.")] = Path(
        "edgerecon-demo"
    ),
    seconds: Annotated[float, typer.Option(help="How long to stream.", min=0.5)] = 10.0,
    view: Annotated[bool, typer.Option("--view", help="Watch it live in the browser.")] = False,
    port: Annotated[int, typer.Option(help="Port of the live viewer.", min=0, max=65535)] = 8765,
) -> None:
    """Stream a real echocardiography cine through a shipped model, and report what was measured."""
    from edgerecon.demo import PAGE, VIDEO, run_demo
    from edgerecon.tables import frame_bar, print_stream

    screen = console()
    with frame_bar(screen) as on_progress:
        report = run_demo(out, seconds, view, port=port, say=screen.print, on_progress=on_progress)
    print_stream(screen, report)
    screen.print(f"Before | after: {out / VIDEO}\nEverything measured: {out / PAGE}")
    leave_if_interrupted(report.interrupted)


def stream(
    source: Annotated[str, typer.Argument(help="A DICOM, video, image, .npz, .npy, .mha file, a folder, or `sample`.")],
    model: Annotated[
        str | None, typer.Argument(help="Shipped name or ONNX file; none: show frames as they are.")
    ] = None,
    sink: Annotated[list[str] | None, typer.Option(help="OUT.mp4, OUT.npz, viewer[:PORT] or null; repeatable.")] = None,
    backend: Annotated[str, typer.Option(help="Engine, or auto.")] = "auto",
    precision: Annotated[str | None, typer.Option(help="fp32, fp16, bf16 or int8; default: that of the file.")] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads of the engine; default: this host's cores.", min=1)
    ] = None,
    policy: Annotated[str, typer.Option(help="latest (newest frame wins) or every (lossless).")] = "latest",
    pace: Annotated[bool, typer.Option("--pace/--no-pace", help="Keep the recording's own frame rate.")] = True,
    deadline: Annotated[float | None, typer.Option(help="Milliseconds; default: the frame period.", min=0.001)] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Repeat the recording.")] = False,
    frames: Annotated[int | None, typer.Option(help="Stop after so many frames.", min=1)] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop after so long.", min=0.001)] = None,
    json: Json = None,
) -> None:
    """Stream a recording through a model, in real time, and count every frame."""
    from contextlib import ExitStack, closing

    from edgerecon.engines import open_engine
    from edgerecon.stream.loop import stream as run
    from edgerecon.stream.sinks import open_sink
    from edgerecon.stream.sources import open_source
    from edgerecon.tables import frame_bar, print_stream

    check_json(json)
    if policy not in ("latest", "every"):
        raise UsageError(f"--policy is latest or every, not '{policy}'")
    screen = console()
    with ExitStack() as stack:
        engine = (
            stack.enter_context(closing(open_engine(model, backend, precision, threads=threads))) if model else None
        )
        recording = stack.enter_context(closing(open_source(source)))
        sinks = [open_sink(uri) for uri in sink or ["null"]]
        for address in (getattr(one, "url", None) for one in sinks):
            if address:
                screen.print(f"Live at {address}")
        on_progress = stack.enter_context(frame_bar(screen))
        report = run(
            recording, engine, sinks, policy=policy, pace=pace, deadline_ms=deadline, loop=loop,  # type: ignore[arg-type]
            frames=frames, seconds=seconds, on_progress=on_progress,
        )  # fmt: skip
    print_stream(screen, report)
    if json:
        report.write(json)
    if report.error:
        raise EdgereconError(report.error)
    leave_if_interrupted(report.interrupted)


def doctor(json: Json = None) -> None:
    """Say what this machine can run, what is missing, and the command that adds it."""
    from dataclasses import asdict

    from edgerecon.device import host_profile
    from edgerecon.doctor import diagnose
    from edgerecon.tables import doctor_table

    checks = diagnose()
    console().print(doctor_table(checks))
    write_json(json, {"checks": [asdict(check) for check in checks], "host": host_profile()})
    if any(check.required and not check.ok for check in checks):
        raise EdgereconError("something required is missing: see the commands above")

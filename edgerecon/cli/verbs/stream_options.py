"""Options of the verb ``stream``."""

from __future__ import annotations

from typing import Annotated

import typer

from edgerecon.cli.verbs.duration import milliseconds
from edgerecon.cli.verbs.duration import seconds as duration_s
from edgerecon.cli.verbs.names import PRECISION_NAMES, complete_model

Source = Annotated[
    str,
    typer.Argument(help="What to show: {sources}."),
]
Models = Annotated[
    list[str] | None,
    typer.Argument(
        help="Shipped name, ONNX file or recipe; none: show frames as they are. Several: see --chain, --beside.",
        autocompletion=complete_model,
    ),
]
Chain = Annotated[bool, typer.Option("--chain", help="Several models run one after the other, under one deadline.")]
Beside = Annotated[
    bool, typer.Option("--beside", help="Several models run side by side on one capture, each with its own sinks.")
]
Sink = Annotated[
    list[str] | None,
    typer.Option(help="{sinks}; repeatable."),
]
Backend = Annotated[str, typer.Option(help="Engine to run on, or auto for the fastest installed.")]
Precision = Annotated[str | None, typer.Option(help=f"{PRECISION_NAMES}; default: the file's.")]
Threads = Annotated[int | None, typer.Option(help="Threads of the engine; default: this host's cores.", min=1)]
Filter = Annotated[
    list[str] | None,
    typer.Option(help="NAME[:key=value,…] of a classical filter before the model; repeatable, in this order."),
]
FilterAfter = Annotated[list[str] | None, typer.Option(help="The same, after the model.")]
Strength = Annotated[
    float, typer.Option(help="How much of the model's change is shown: 0 the input, 1 the model's picture.")
]
Protect = Annotated[
    str, typer.Option(help="What is not tissue passes as it is: auto, none, or the tissue's X,Y,WIDTH,HEIGHT.")
]
Crop = Annotated[
    str | None, typer.Option(help="Part of every frame to stream, as of a grabbed screen: X,Y,WIDTH,HEIGHT.")
]
Policy = Annotated[
    str | None,
    typer.Option(help="latest (newest frame wins) or every (lossless); default: every from a file into files."),
]
Late = Annotated[str, typer.Option(help="What becomes of frames over their deadline: present or skip.")]
Ladder = Annotated[
    list[str] | None,
    typer.Option(help="Quicker model to step down to when deadlines are missed; repeatable; auto; passthrough."),
]
Watchdog = Annotated[
    float | None,
    typer.Option(
        help="How long an engine may take; default: ten deadlines, 1s at least.",
        parser=milliseconds,
        metavar="TIME",
    ),
]
Pace = Annotated[
    bool | None,
    typer.Option("--pace/--no-pace", help="Keep the recording's own frame rate; default: not from a file into files."),
]
Deadline = Annotated[
    float | None,
    typer.Option(
        help="Time after capture by which a frame must be presented; default: the frame period.",
        parser=milliseconds,
        metavar="TIME",
    ),
]
Loop = Annotated[bool, typer.Option("--loop", help="Repeat the recording.")]
Frames = Annotated[int | None, typer.Option(help="Stop after so many frames.", min=1)]
Seconds = Annotated[float | None, typer.Option(help="Stop after so long.", parser=duration_s, metavar="SECONDS")]
Priority = Annotated[
    str | None, typer.Option(help="Priority of the stream's threads: realtime, or a nice value (Linux).")
]
Cpus = Annotated[str | None, typer.Option(help="Processors to stay on, for example 0,1 (Linux).")]
Trace = Annotated[
    str | None,
    typer.Option(
        help="Times of every frame's stages: file for ui.perfetto.dev, or otlp://HOST[:PORT] (OpenTelemetry).",
        metavar="FILE|ADDRESS",
    ),
]
Tui = Annotated[bool, typer.Option("--tui", help="Show all counters live in the terminal.")]
LogJson = Annotated[bool, typer.Option("--log-json", help="Write logs as JSON lines on stderr.")]

"""The verb that streams."""

from __future__ import annotations

from edgerecon.cli.verbs import stream_options as options
from edgerecon.cli.verbs.beamform import BeamformOption, GridOption
from edgerecon.cli.verbs.output import Json
from edgerecon.cli.verbs.placement import Device, Tile


def stream(
    source: options.Source,
    models: options.Models = None,
    chain: options.Chain = False,
    beside: options.Beside = False,
    sink: options.Sink = None,
    backend: options.Backend = "auto",
    precision: options.Precision = None,
    threads: options.Threads = None,
    beamform: BeamformOption = None,
    grid: GridOption = None,
    device: Device = None,
    tile: Tile = None,
    filter: options.Filter = None,
    filter_after: options.FilterAfter = None,
    strength: options.Strength = 1.0,
    protect: options.Protect = "auto",
    crop: options.Crop = None,
    policy: options.Policy = None,
    late: options.Late = "present",
    ladder: options.Ladder = None,
    watchdog: options.Watchdog = None,
    pace: options.Pace = None,
    deadline: options.Deadline = None,
    loop: options.Loop = False,
    frames: options.Frames = None,
    seconds: options.Seconds = None,
    priority: options.Priority = None,
    cpus: options.Cpus = None,
    trace: options.Trace = None,
    tui: options.Tui = False,
    log_json: options.LogJson = False,
    json: Json = None,
) -> None:
    """Stream through a model in real time, and count every frame.

    From a file into files it goes as fast as it can and keeps every frame, unless a policy, a pace, a time limit, a
    deadline, a ladder or --loop asks for real time. SIGTERM ends the stream in order, SIGHUP makes a temporal model
    start anew.
    """
    asked = dict(locals())  # every option by its name, before there is anything else
    from edgerecon.cli.stream import StreamRequest, run_stream

    run_stream(StreamRequest(**asked))

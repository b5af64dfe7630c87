"""The verb that beamforms recordings of channel data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgerecon.cli.verbs.output import Json, check_json, console, write_json
from edgerecon.core.errors import EdgereconError

BeamformOption = Annotated[
    str | None,
    typer.Option("--beamform", help="Method for channel data: {methods}, or a model; default: das."),
]
GridOption = Annotated[
    str | None,
    typer.Option("--grid", help="Pixels for channel data: 256x256, or X0:X1:STEP,Z0:Z1:STEP in mm, or polar,…"),
]


def beamform(
    file: Annotated[str, typer.Argument(help="Channel data: {channel}.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Complex pictures: .npz, .h5 or .uff.")],
    method: BeamformOption = None,
    grid: GridOption = None,
    frames: Annotated[int | None, typer.Option(help="Stop after so many frames.", min=1)] = None,
    json: Json = None,
) -> None:
    """Make complex pictures of channel data, and time each stage."""
    from contextlib import closing
    from statistics import median

    from edgerecon.cli.tables.bars import work_bar
    from edgerecon.stream.overwriting import refuse_overwriting
    from edgerecon.stream.sources import open_source
    from edgerecon.stream.sources.channel.beamformed_file import write_beamformed
    from edgerecon.stream.sources.channel.channel import ChannelSource
    from edgerecon.stream.sources.query import with_options

    check_json(json)
    refuse_overwriting([file], [], [path for path in (out, json) if path])
    screen = console(json)
    with (
        closing(open_source(with_options(file, {"beamform": method, "grid": grid}))) as source,
        work_bar(screen) as bar,
    ):
        if not isinstance(source, ChannelSource):
            raise EdgereconError(f"{source.name} holds no channel data: it is pictures already")
        backend = source.form.beamformer.backend
        done = write_beamformed(source, out, frames, lambda at, total: bar("frames", at, total))
    stages = {stage: median(spent) for stage, spent in done.stages_ms.items()}
    spent = ", ".join(f"{stage} {took:.1f} ms" for stage, took in stages.items())
    height, width = done.shape
    screen.say(f"{out}: {done.frames} frames of {width}×{height}; a frame takes {spent} ({backend})")
    write_json(
        json,
        {
            "out": str(out),
            "frames": done.frames,
            "shape": list(done.shape),
            "stages_ms": {stage: {"p50": took} for stage, took in stages.items()},
            "backend": backend,
            "faults": done.faults,
        },
    )
    if done.faults:
        first = min(done.faults)
        raise EdgereconError(f"{len(done.faults)} frames could not be formed; frame {first}: {done.faults[first]}")

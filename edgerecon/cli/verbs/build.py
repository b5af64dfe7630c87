"""The verb that builds an engine for a device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgerecon.cli.verbs.output import Json, check_folder, check_json, say, write_json
from edgerecon.core.errors import UsageError


def build(
    model: Annotated[str, typer.Argument(help="Shipped name or ONNX file; int8 for TensorRT is MODEL-int8-trt.")],
    device: Annotated[
        str, typer.Option(help="A name of `devices`, a TOML file, or host for the GPU that is here.")
    ] = "host",
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Engine file; default: its place in the cache. For an FPGA a folder."),
    ] = None,
    json: Json = None,
) -> None:
    """Build an engine for an NVIDIA device, or an FPGA's sources."""
    from edgerecon.engines.tensorrt.build import build as run
    from edgerecon.hardware.device import HOST, load_device

    check_json(json)
    if device != HOST and (board := load_device(device)).kind == "fpga":
        from edgerecon.deploy.fpga.build import build_fpga

        if out is None:
            raise UsageError(f"{device} gets a folder of sources: say where with  -o FOLDER")
        check_folder(out)
        written = build_fpga(model, board, out)
        say(f"{written.path}: {written.summary}", json)
        write_json(json, written.facts)
        return
    made = run(model, device, out)
    how = "from the cache" if made.cached else f"built in {made.seconds:.1f} s"
    facts = made.facts
    say(
        f"{made.path}: {made.model}, {facts.precision}, for compute capability {facts.compute_capability} by "
        f"{facts.runtime} {facts.version}, {made.size_kb:.0f} kB, {how}",
        json,
    )
    write_json(json, made.to_json())

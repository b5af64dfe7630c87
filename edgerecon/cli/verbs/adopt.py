"""The verb that takes in a foreign network: adopt."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from edgerecon.cli.verbs.output import Json, check_folder, check_json, check_out, console, write_json
from edgerecon.core.errors import UsageError

RANGES = "0..1, 0..255, -1..1, imagenet, or LOW..HIGH"


Model = Annotated[
    str, typer.Argument(help="An ONNX file that edgerecon did not make; or FILE.py:CLASS of a torch module.")
]
Out = Annotated[Path | None, typer.Option("-o", "--out", help="ONNX file to write; default: MODEL-edgerecon.onnx.")]
Task = Annotated[str | None, typer.Option(help="What it is for; default: restore, or enlarge.")]
Data = Annotated[
    Path | None, typer.Option(help="Recording or folder like the training data; default: the built-in cine.")
]
Range = Annotated[str | None, typer.Option(help=f"Grey levels that go in: {RANGES}; default: found by trial.")]
OutputRange = Annotated[
    str | None, typer.Option(help="Grey levels that come out; default: found by trial, or as they go in.")
]
Residual = Annotated[
    str | None,
    typer.Option(help="What the output is: image, noise, correction or overlay; default: found by trial."),
]
Output = Annotated[str | None, typer.Option(help="Name of the output to show, where there are several.")]
NoiseLevel = Annotated[
    float | None, typer.Option(help="For networks that ask for one: grey levels of 255.", min=0, max=255)
]
Weights = Annotated[
    Path | None, typer.Option(help="Of a torch module: .safetensors, or a checkpoint of tensors alone.")
]


def adopt(
    model: Model,
    out: Out = None,
    task: Task = None,
    data: Data = None,
    range: Range = None,
    output_range: OutputRange = None,
    residual: Residual = None,
    output: Output = None,
    noise_level: NoiseLevel = None,
    weights: Weights = None,
    json: Json = None,
) -> None:
    """Take in any image-to-image ONNX file.

    Tries it on real frames, says what it found and how sure it is, and writes a file that every other verb takes.
    Nothing is executed but the graph, and nothing is read but the file and weights that lie beside it. A torch module's
    Python file is run.
    """
    from edgerecon.cli.tables.adopt import print_adoption
    from edgerecon.cli.tables.bars import work_bar
    from edgerecon.deploy.adopt.adopt import adopt as run
    from edgerecon.deploy.adopt.inspect import Asked, parse_way
    from edgerecon.deploy.adopt.ranges import parse_range
    from edgerecon.stream.overwriting import refuse_overwriting

    check_json(json)
    if model.endswith(".py"):
        raise UsageError(f"{model} may hold several networks: name the class, as in  edgerecon adopt {model}:CLASS")
    is_torch = re.search(r"\.py:[^/]*$", model) is not None
    if weights is not None and not is_torch:
        raise UsageError("an ONNX file has its weights: leave --weights out, or give FILE.py:CLASS")
    source = Path(model.rpartition(":")[2].lower() + ".onnx") if is_torch else Path(model)
    target = out or source.with_name(f"{source.stem}-edgerecon.onnx")
    check_out(target, ".onnx", "a model")
    refuse_overwriting([str(source)], [], [target])
    given, returned = (parse_range(one) if one else None for one in (range, output_range))
    asked = Asked(task, given, returned, parse_way(residual) if residual else None, output, noise_level)
    screen = console(json)
    with TemporaryDirectory(prefix="edgerecon-adopt-") as folder, work_bar(screen) as on_progress:
        if is_torch:
            from edgerecon.deploy.export.module_file import write_module

            source = Path(folder) / source.name
            write_module(model, weights, source)
        adoption = run(source, target, asked, data, on_progress)
    print_adoption(screen, adoption)
    write_json(json, adoption.to_json())
    screen.say(f"Adopted: {adoption.path}\nNext: edgerecon stream sample {adoption.path}")


def export_file(model: Path, out: Path | None, data: Path | None, json: Path | None) -> None:
    """``edgerecon export`` of an ONNX file: int8 where it is good and faster."""
    from edgerecon.cli.tables.bars import work_bar
    from edgerecon.deploy.adopt.quantise import export_int8

    check_json(json)
    check_folder(out)
    screen = console(json)
    with work_bar(screen) as on_progress:
        made = export_int8(model, out, data, on_progress)
    fp32, int8 = (min(made.ms[name].values()) for name in ("fp32", "int8"))
    kept = f", {len(made.kept)} of {made.layers} layers in float" if made.kept else ""
    screen.say(
        f"{made.path}: {fp32 / int8:.1f} times as fast as fp32 ({int8:.2f} ms), {made.rms * 255:.2f} grey levels RMS "
        f"off it{kept}"
    )
    write_json(json, made.to_json())

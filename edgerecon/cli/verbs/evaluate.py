"""The verb that measures image quality."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgerecon.cli.verbs.names import PRECISION_NAMES, Model
from edgerecon.cli.verbs.output import Json, check_folder, check_json, console, write_json
from edgerecon.cli.verbs.placement import Device, Ray, Tile, tile_size
from edgerecon.core.errors import UsageError

if TYPE_CHECKING:
    from edgerecon.cli.tables.screen import Screen
    from edgerecon.quality.evaluate.evaluation import Evaluation


Data = Annotated[Path, typer.Option(help="HDF5 pairs, a recording, or a folder of recordings.")]
Tune = Annotated[Path | None, typer.Option(help="Pairs to tune the classical filters on; default: the data.")]
Fields = Annotated[
    str | None,
    typer.Option(help="INPUT,TARGET: fields of the pairs; default: those of `simulate`.", metavar="INPUT,TARGET"),
]
Regions = Annotated[
    Path | None, typer.Option(help="JSON boxes for a recording, or a PICMUS phantom; default: found automatically.")
]
Method = Annotated[list[str] | None, typer.Option(help="Classical filter to compare with; repeatable.")]
Limit = Annotated[
    int | None,
    typer.Option(help="How many samples, or frames of each recording; default: all samples, 2 frames.", min=1),
]
Pictures = Annotated[Path | None, typer.Option(help="Folder for a contact sheet and the trade-off plot.")]
Backend = Annotated[str, typer.Option(help="Engine to run on, or auto for the fastest installed.")]
Precision = Annotated[str | None, typer.Option(help=f"{PRECISION_NAMES}; default: the file's.")]


def evaluate(
    model: Model,
    data: Data,
    fields: Fields = None,
    tune: Tune = None,
    regions: Regions = None,
    method: Method = None,
    limit: Limit = None,
    pictures: Pictures = None,
    backend: Backend = "auto",
    precision: Precision = None,
    device: Device = None,
    tile: Tile = None,
    ray: Ray = None,
    json: Json = None,
) -> None:
    """Measure image quality beside tuned classical filters.

    A model that enlarges is given frames reduced by area and compared with the frames themselves, beside interpolation.

    Channel data are judged by the field's measures, with a model that beamforms or a beamforming method (das, mv, …) in
    place of the model.
    """
    from contextlib import closing

    from edgerecon.cli.tables.bars import work_bar
    from edgerecon.core.cluster import spread_over
    from edgerecon.engines import open_engine
    from edgerecon.quality.evaluate.evaluate import evaluate as run
    from edgerecon.stream.sources.query import with_options

    check_json(json)
    check_folder(pictures)
    screen = console(json)
    if _beamforms(model):
        _evaluate_channel_data(screen, model, with_options(str(data), {"backend": backend}), regions, json)
        return
    with (
        closing(open_engine(model, backend, precision, device, tile=tile_size(tile))) as engine,
        spread_over(ray) as spread,
        work_bar(screen) as on_progress,
    ):
        result = run(
            engine,
            data,
            regions=regions,
            methods=method,
            limit=limit,
            tune=tune,
            fields=_two_fields(fields),
            on_progress=on_progress,
            spread=spread,
        )
    _show(screen, result, json, pictures)


def _show(screen: Screen, result: Evaluation, json: Path | None, pictures: Path | None) -> None:
    from edgerecon.cli.tables.evaluation import print_evaluation

    print_evaluation(screen, result)
    write_json(json, result.to_json())
    if pictures:
        _write_pictures(result, pictures)


def _two_fields(named: str | None) -> tuple[str, str] | None:
    if named is None:
        return None
    source, comma, target = named.partition(",")
    if not (source and comma and target) or "," in target:
        raise UsageError(f"--fields {named} is not INPUT,TARGET: name two fields, e.g. noisy,clean")
    return source, target


def _beamforms(model: str) -> bool:
    """Whether it is a method or a model for channel data."""
    from edgerecon.beamform.methods import methods
    from edgerecon.stream.sources.channel.learned import is_learned

    return model in methods() or is_learned(model)


def _write_pictures(result: Evaluation, folder: Path) -> None:
    from edgerecon.quality.evaluate.pictures import contact_sheet, tradeoff_plot

    folder.mkdir(parents=True, exist_ok=True)
    contact_sheet(result, folder / "contact-sheet.png")
    if result.tradeoff:
        tradeoff_plot(result, folder / "trade-off.png")


def _evaluate_channel_data(screen: Screen, method: str, data: str, targets: Path | None, json: Path | None) -> None:
    """The method beside delay-and-sum."""
    from edgerecon.cli.tables.channel_data import print_channel_evaluation
    from edgerecon.quality.evaluate.channel_data import evaluate_channel_data

    result = evaluate_channel_data(data, list(dict.fromkeys(("das", method))), targets)
    print_channel_evaluation(screen, result)
    write_json(json, result.to_json())

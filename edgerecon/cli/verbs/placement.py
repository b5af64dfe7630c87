"""Where a model runs, and in what pieces: options that verbs share."""

from __future__ import annotations

from typing import Annotated

import typer

from edgerecon.cli.verbs.size import frame_size

Device = Annotated[
    str | None,
    typer.Option(
        help="Where the engine runs, e.g. cuda, tensorrt or coreml of onnxruntime, gpu, npu or auto of openvino; "
        "default: the CPU."
    ),
]
Tile = Annotated[
    str | None,
    typer.Option(help="HEIGHTxWIDTH of pieces in which frames are run, where they do not fit the memory whole."),
]
Ray = Annotated[str | None, typer.Option("--ray", help="Work on a Ray cluster: auto, HOST:PORT or ray://HOST:PORT.")]


def tile_size(text: str | None) -> tuple[int, int] | None:
    """Rows and columns; None where none was given.

    Raises:
        UsageError: it is no size.
    """
    return None if text is None else frame_size(text, "--tile")

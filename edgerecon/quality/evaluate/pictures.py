"""Pictures of an evaluation: a contact sheet (PNG) and the trade-off plot."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import SinkError, needed
from edgerecon.core.files import write
from edgerecon.core.frame import Image, to_uint8
from edgerecon.quality.evaluate.evaluation import Evaluation
from edgerecon.quality.measures.full_reference import match_gain_offset

_TILE, _CAPTION = 320, 22


def contact_sheet(evaluation: Evaluation, path: Path) -> None:
    """Write one row an image: input, model, best classical filter and, where there is one, the target.

    The best filter is the one with the highest PSNR, or on recordings the highest speckle-SNR ratio at the model's
    edge preservation. Outputs are shown matched in gain and offset to what they were measured against.

    Raises:
        SinkError: there is no image to show. EdgereconError: the file cannot be written.
    """
    measure = "psnr_db" if evaluation.kind == "pairs" else "snr_ratio"
    classical = [line for line in evaluation.table if line.method not in ("input", "model")]
    best = max(classical, key=lambda line: line.measures[measure]["mean"]).method if classical else None
    rows = []
    for images in evaluation.panels.values():
        reference = images.get("target", images["input"])
        shown = [c for c in ("input", "model", best, "target") if c is not None and c in images]
        tiles = [_tile(images[c] if c in ("input", "target") else match_gain_offset(images[c], reference), c)
                 for c in shown]  # fmt: skip
        rows.append(np.hstack(tiles))
    if not rows:
        raise SinkError(f"nothing to show in {path}: the evaluation kept no image")
    done, encoded = cv2.imencode(".png", np.vstack(rows))
    if not done:
        raise SinkError(f"cannot encode {path}")
    write(path, encoded.tobytes())


def tradeoff_plot(evaluation: Evaluation, path: Path) -> None:
    """Write the trade-off of an evaluation on recordings as PNG.

    Raises:
        DependencyError: matplotlib is absent. SinkError: there is no trade-off. EdgereconError: the file cannot
            be written.
    """
    with needed("train", "matplotlib"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    curves = evaluation.tradeoff
    if curves is None:
        raise SinkError(f"no trade-off to plot in {path}: it is measured on recordings only")
    figure = Figure(figsize=(7, 5), dpi=120, layout="constrained")
    axes = figure.subplots()
    for method in dict.fromkeys(point["method"] for point in curves["classical"]):
        points = [p for p in curves["classical"] if p["method"] == method]
        axes.plot([p["edge"] for p in points], [p["snr_ratio"] for p in points], "o", ms=4, label=method)
    axes.plot([p["edge"] for p in curves["front"]], [p["snr_ratio"] for p in curves["front"]], "k--", lw=1,
              label="classical front")  # fmt: skip
    axes.plot([p["edge"] for p in curves["curve"]], [p["snr_ratio"] for p in curves["curve"]], "r.-",
              label=evaluation.model)  # fmt: skip
    axes.plot(curves["model"]["edge"], curves["model"]["snr_ratio"], "r*", ms=14)
    axes.set(xlabel="edge preservation (correlation of LoG, σ = 2.5 px)", ylabel="speckle-SNR ratio to the input")
    axes.set_title(f"{evaluation.model} on {Path(evaluation.data).name}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    png = io.BytesIO()
    FigureCanvasAgg(figure).print_png(png)
    write(path, png.getvalue())


def _tile(image: Image | NDArray[np.float64], caption: str) -> NDArray[np.uint8]:
    """The image fitted into a captioned square, uint8."""
    scale = _TILE / max(image.shape)
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    small = cv2.resize(to_uint8(np.clip(image, 0, 1).astype(np.float32)), size, interpolation=method)
    tile = np.zeros((_TILE + _CAPTION, _TILE), np.uint8)
    tile[_CAPTION : _CAPTION + size[1], : size[0]] = small
    cv2.putText(tile, caption, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 1, cv2.LINE_AA)
    return tile

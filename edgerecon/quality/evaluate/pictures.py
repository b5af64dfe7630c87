"""Pictures of an evaluation: a contact sheet (PNG) and the trade-off plot."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import SinkError, needed
from edgerecon.core.files import write
from edgerecon.core.frame import Image, to_uint8
from edgerecon.quality.evaluate.evaluation import Evaluation, MethodResult
from edgerecon.quality.evaluate.structure_front import structure_score

_TILE, _CAPTION = 320, 22


def contact_sheet(evaluation: Evaluation, path: Path) -> None:
    """Write one row an image: input, model, best classical filter and, where there is one, the target.

    The best filter is the one with the highest PSNR, or on recordings the one that keeps most structure at the model's
    speckle left. Nothing is matched in gain or offset.

    Raises:
        SinkError: there is no image to show. EdgereconError: the file cannot be written.
    """
    classical = [line for line in evaluation.table if line.method not in ("input", "model")]
    best = max(classical, key=lambda line: _rank(line, evaluation)).method if classical else None
    rows = []
    for images in evaluation.panels.values():
        shown = [c for c in ("input", "model", best, "target") if c is not None and c in images]
        rows.append(np.hstack([_tile(images[caption], caption) for caption in shown]))
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
    curves = evaluation.front
    if curves is None:
        raise SinkError(f"no trade-off to plot in {path}: it is measured on recordings only")
    figure = Figure(figsize=(7, 5), dpi=120, layout="constrained")
    axes = figure.subplots()
    for method in dict.fromkeys(point["method"] for point in curves["classical"]):
        _draw(axes, [p for p in curves["classical"] if p["method"] == method], "o", ms=4, label=method)
    _draw(axes, curves["front"], "k--", lw=1, label="classical front")
    _draw(axes, curves["curve"], "r.-", label=evaluation.model)
    _draw(axes, [curves["model"]], "r*", ms=14)
    axes.axvline(1, color="grey", lw=0.5)
    axes.set(xlabel="structure kept (1 is all, above 1 is sharpened)", ylabel="speckle left, of the input's")
    axes.set_title(f"{evaluation.model} on {Path(evaluation.data).name}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    png = io.BytesIO()
    FigureCanvasAgg(figure).print_png(png)
    write(path, png.getvalue())


def _rank(line: MethodResult, evaluation: Evaluation) -> float:
    """The higher the better the filter."""
    if evaluation.kind == "pairs":
        return line.measures["psnr_db"]["mean"]
    if evaluation.kind == "enlarged":
        return line.measures["psnr_unmatched_db"]["mean"]
    structure, speckle = (line.measures[key]["mean"] for key in ("structure", "speckle_left"))
    allowed = evaluation.line("model").measures["speckle_left"]["mean"]
    return structure_score(structure) - max(0.0, speckle - allowed)


def _draw(axes: Any, points: list[dict[str, Any]], style: str, **look: Any) -> None:
    """Points or a line on the plane of the front."""
    axes.plot([p["structure"] for p in points], [p["speckle_left"] for p in points], style, **look)


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

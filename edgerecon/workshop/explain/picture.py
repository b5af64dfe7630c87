"""One sheet of an explanation: frame, reconstruction and every map with its colour bar."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from edgerecon.core.errors import needed
from edgerecon.core.files import write
from edgerecon.core.frame import Image
from edgerecon.quality.regions import Box
from edgerecon.workshop.explain import Explanation

_COLUMNS = 3
_TALLEST = 3.0
"""Height of a panel over its width, at most: a frame of a few columns would else take a sheet of 10⁹ pixels."""
_CLIPPED = 99.5
"""Percentile of a map's values but 0 at which its colours end: single pixels would else leave the rest no contrast."""


def write_sheet(found: Explanation, path: Path, title: str) -> None:
    """Write the sheet as PNG, whole or not at all; the region is outlined on every panel.

    Raises:
        DependencyError: matplotlib is absent. EdgereconError: the file cannot be written.
    """
    with needed("train", "matplotlib"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle
    panels = {"frame": found.frame, "reconstruction": found.reconstruction, **found.maps}
    rows = -(-len(panels) // _COLUMNS)
    height, width = found.frame.shape
    panel = 4.0 * min(height / width, _TALLEST)
    figure = Figure(figsize=(4.6 * _COLUMNS, (panel + 0.6) * rows), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    for at, (name, values) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(rows, _COLUMNS, at)
        colours, low, high = _colours(name, values)
        shown = axes.imshow(values, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
        if box := _on_panel(found, values):
            y0, x0, y1, x1 = box
            edge = "red" if colours == "gray" else "black" if colours == "RdBu_r" else "white"
            axes.add_patch(Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, edgecolor=edge, linewidth=0.8))
        axes.set_title(name, fontsize=10)
        axes.set_axis_off()
        figure.colorbar(shown, ax=axes, shrink=0.8)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    write(path, content.getvalue())


def write_arrays(found: Explanation, path: Path) -> None:
    """Write frame, reconstruction and maps as NPZ; blanks in names become underscores.

    Raises:
        EdgereconError: the file cannot be written.
    """
    content = io.BytesIO()
    arrays = {"frame": found.frame, "reconstruction": found.reconstruction, "region": np.array(found.region)}
    np.savez_compressed(content, **arrays, **{name.replace(" ", "_"): found.maps[name] for name in found.maps})  # type: ignore[arg-type]
    write(path, content.getvalue())


def _colours(name: str, values: Image) -> tuple[str, float, float]:
    if name in ("frame", "reconstruction"):
        return "gray", 0.0, 1.0
    if name.startswith("attention"):
        return "viridis", 0.0, 1.0
    size = np.abs(values[values != 0])
    limit = float(np.percentile(size, _CLIPPED)) if size.size else 1.0
    return ("RdBu_r", -limit, limit) if values.min() < 0 else ("magma", 0.0, limit)


def _on_panel(found: Explanation, values: Image) -> Box | None:
    """The region in the pixels of a panel, which may be smaller; None where the output is a verdict on all of it."""
    scale = found.reconstruction.shape[0] // values.shape[0]
    if not scale:
        return None
    y0, x0, y1, x1 = found.region
    return y0 // scale, x0 // scale, -(-y1 // scale), -(-x1 // scale)

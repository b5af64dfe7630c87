"""The engines of a recipe's files for the devices that it targets, as far as they can be built here."""

from __future__ import annotations

from pathlib import Path

from edgerecon.core.errors import EdgereconError
from edgerecon.engines import backends
from edgerecon.engines.tensorrt.build import build
from edgerecon.engines.tensorrt.engine_file import Shapes
from edgerecon.modelfile.variants import variant
from edgerecon.workshop.recipe_tables import ShapesTable


def build_for(device: str, folder: Path, name: str, shapes: ShapesTable) -> str:
    """Build every file of a model that a device runs; each engine lies beside its file.

    Returns:
        What was built, or why nothing was: the export goes on, since a device may build for itself.
    """
    sizes = (shapes.fixed,) * 3 if shapes.fixed else (shapes.min, shapes.opt, shapes.max)
    outcomes = []
    for key in backends()["tensorrt"].runs:
        path = folder / f"{name}{variant(key).suffix}.onnx"
        if not path.exists():
            continue
        out = path.with_name(f"{path.stem}.{device}.engine")
        try:
            made = build(path, device, out, shapes=Shapes(*sizes))
        except EdgereconError as error:
            return str(error)
        facts = made.facts
        outcomes.append(f"{out.name} ({facts.precision}, {facts.runtime} {facts.version}, {made.size_kb:.0f} kB)")
    return "; ".join(outcomes)

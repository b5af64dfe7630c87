"""What a phantom of the PICMUS challenge holds, as its own HDF5 file says (Liebgott et al., IUS 2016).

``contrast_speckle_simu_phantom.hdf5`` lies beside ``contrast_speckle_simu_dataset_rf.hdf5``. Of `US/US_DATASET0000` are
read, in metres: `phantom_xPts` and `phantom_zPts` (wires), `phantom_occlusionCenterX`, `…CenterZ` and `…Diameter`
(cysts), and `phantom_RoiCenterX`, `…CenterZ`, `phantom_RoiPsfTimeX` and `…Z` with `phantom_lateralResolution` and
`phantom_axialResolution` (boxes of plain speckle, so many resolution cells wide; the disc within each is taken).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import DataError
from edgerecon.quality.targets import Targets
from edgerecon.stream.sources.hdf5_file import numbers, one_line_errors, opened

_ROOT = "US/US_DATASET0000"
_FIELDS = {
    "wires": ("xPts", "zPts"),
    "cysts": ("occlusionCenterX", "occlusionCenterZ", "occlusionDiameter"),
    "speckle": ("RoiCenterX", "RoiCenterZ", "RoiPsfTimeX", "RoiPsfTimeZ"),
}


def read_picmus_phantom(path: Path) -> Targets:
    """Wires, cysts and plain speckle, in mm.

    Raises:
        DataError: it holds none of them, or fields that do not fit each other; the message names them.
    """
    with one_line_errors(path.name), opened(path) as file:
        if _ROOT not in file:
            raise DataError(f"{path.name} is no phantom of the PICMUS challenge: it holds no {_ROOT}")
        found = {kind: _columns(file[_ROOT], names, path.name) for kind, names in _FIELDS.items()}
        cells = [_columns(file[_ROOT], (f"{axis}Resolution",), path.name) for axis in ("lateral", "axial")]
    wires, cysts, boxes = found["wires"] * 1e3, found["cysts"] * 1e3, found["speckle"]
    if not (len(wires) or len(cysts) or len(boxes)):
        raise DataError(f"{path.name} names no wires, cysts or regions of speckle: phantom_xPts is missing")
    if not all(len(one) for one in cells):
        boxes = boxes[:0]  # of no known size
    radius_m = np.minimum(*(boxes[:, 2 + axis] * one[0, 0] for axis, one in enumerate(cells))) / 2 if len(boxes) else []
    return Targets(
        wires=tuple((float(x), float(z)) for x, z in wires),
        cysts=tuple((float(x), float(z), float(diameter) / 2) for x, z, diameter in cysts),
        speckle=tuple(
            (float(x) * 1e3, float(z) * 1e3, float(radius) * 1e3)
            for (x, z, *_), radius in zip(boxes, radius_m, strict=True)
        ),
        given=True,
    )


def phantom_beside(recording: Path) -> Path | None:
    """The phantom of a data set of the challenge, where it lies beside it under the challenge's own name."""
    name, dataset, _ = recording.name.partition("_dataset_")
    path = recording.with_name(f"{name}_phantom.hdf5")
    return path if dataset and path.is_file() else None


def _columns(group: Any, names: tuple[str, ...], name: str) -> NDArray[np.float64]:
    """(N, fields); none where none of them is there."""
    keys = [f"phantom_{one}" for one in names]
    there = [key for key in keys if key in group]
    if not there:
        return np.zeros((0, len(names)))
    if len(there) < len(keys):
        raise DataError(f"{name}: {next(key for key in keys if key not in there)} is missing")
    columns = [numbers(group, key).ravel() for key in keys]
    if len({one.size for one in columns}) != 1 or not all(np.all(np.isfinite(one)) for one in columns):
        raise DataError(f"{name}: {', '.join(keys)} do not fit each other, or are not finite")
    return np.stack(columns, 1)

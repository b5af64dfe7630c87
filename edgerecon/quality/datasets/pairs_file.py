"""Read image pairs from HDF5, layout "edgerecon-pairs/1": one group a sample, one uint8 dataset a field."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edgerecon.core.errors import DataError, first_line, needed
from edgerecon.core.frame import Image, to_unit
from edgerecon.quality.filters.classical import Pair

FORMAT = "edgerecon-pairs/1"

_DAMAGE = (OSError, RuntimeError, LookupError, TypeError, ValueError)
"""What h5py raises, by experiment with random bytes, when a file is damaged somewhere."""


def sample_names(path: Path, limit: int | None = None) -> list[str]:
    """Names of the first ``limit`` samples, sorted.

    Raises:
        DataError: missing or corrupt file, another layout, or no sample at all.
        DependencyError: h5py is absent.
    """
    with _opened(path) as file:
        try:
            names = sorted(name for name in file if name.startswith("sample_"))[:limit]
        except _DAMAGE as error:
            raise DataError(f"{path} is damaged ({first_line(error)}): make it anew") from error
    if not names:
        raise DataError(f"{path} holds no samples: make it anew with  edgerecon simulate")
    return names


def read_pairs(path: Path, names: list[str], source: str, target: str) -> Iterator[Pair]:
    """(input, target) images of the named samples, float32 (H, W) in [0, 1].

    Of a sequence (T, H, W) the middle frame is taken: the frames of one scene are not independent samples.

    Args:
        source, target: field names, e.g. "pw31" and "clean".

    Raises:
        DataError: missing or corrupt file, another layout, or absent fields.
        DependencyError: h5py is absent.
    """
    with _opened(path) as file:
        for name in names:
            image, reference = _image(file, name, source, path), _image(file, name, target, path)
            if image.shape != reference.shape:
                raise DataError(f"{path}: '{source}' and '{target}' of {name} differ in shape")
            yield image, reference


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    with needed("bench", "h5py"):
        import h5py
    if not path.is_file():
        raise DataError(f"{path} does not exist: make it with  edgerecon simulate {path} --samples 64")
    try:
        file = h5py.File(path, "r")
        layout = file.attrs.get("format")
    except _DAMAGE as error:
        raise DataError(f"{path} is corrupt or no HDF5 file ({first_line(error)}): make it anew") from error
    with file:
        if not isinstance(layout, str) or layout != FORMAT:
            raise DataError(f"{path} is not of layout {FORMAT}: make such a file with  edgerecon simulate")
        yield file


def _image(file: Any, name: str, field: str, path: Path) -> Image:
    try:
        if field not in file[name]:
            known = ", ".join(sorted(file[name]))
            raise DataError(f"{path}: {name} has no '{field}', only {known}: name them with --fields INPUT,TARGET")
        data = np.asarray(file[name][field])
    except _DAMAGE as error:
        raise DataError(f"{path}: {name} is damaged ({first_line(error)}): make the file anew") from error
    if data.dtype != np.uint8 or data.ndim not in (2, 3) or data.size == 0:
        raise DataError(f"{path}: '{field}' of {name} must be uint8 H×W or T×H×W, not {data.dtype} {data.shape}")
    return to_unit(data if data.ndim == 2 else data[len(data) // 2])


TASK_FIELDS = {"despeckle": ("pw31", "clean"), "compound": ("pw1", "pw31")}
"""Task of a model → (input field, target field)."""

"""What the HDF5 Image specification says of a dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgerecon.stream.sources import open_source

h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install 'edgerecon[stream]'")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("white_is_zero", [np.uint8(1), np.array([1], np.uint8), np.uint8(0)])
def test_negatives_are_turned_back(tmp_path: Path, dtype: type, white_is_zero: object) -> None:
    grey = np.random.default_rng(5).integers(0, 256, (2, 6, 8), np.uint8)
    grey[:, 0, :2] = 0, 255
    values = {"uint8": grey, "uint16": grey.astype(np.uint16) * 257, "float32": grey.astype(np.float32) / 255}
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["frames"] = values[np.dtype(dtype).name]
        file["frames"].attrs["IMAGE_WHITE_IS_ZERO"] = white_is_zero
    found = np.array([capture.image for capture in open_source(str(tmp_path / "a.h5")).frames()])
    full = {"uint8": 1, "uint16": 257, "float32": 1 / 255}[found.dtype.name]
    np.testing.assert_allclose(found / full, 255 - grey if np.any(white_is_zero) else grey, atol=1e-4)

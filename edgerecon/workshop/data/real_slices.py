"""Real CT and MRI slices that install with pydicom: few, hence for evaluation alone, never for training.

They are pydicom's own test files (its ``test_files/README.txt``: no restriction on their use is known; pydicom is
MIT-licensed), anonymised: a spine at 128×128 (``CT_small.dcm``, from NEMA's CT1_UNC), two heads at 512×512
(``693_J2KI.dcm``, ``J2K_pixelrep_mismatch.dcm``), and an abdomen in MRI at 300×484 (``examples_overlay.dcm``).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import DataError

CT_FILES = ("CT_small.dcm", "693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm")
MR_FILES = ("examples_overlay.dcm",)
WINDOW = (0.5, 99.8)
"""Percentiles of a slice that become 0 and 1."""


def real_slices(files: tuple[str, ...], size: int) -> NDArray[np.float32]:
    """Slices cut to their middle square and brought to one size, by area where they shrink.

    Returns:
        float32 (files, size, size) in [0, 1]; 0 outside the circle that touches the sides, where no CT sees.

    Raises:
        DataError: pydicom was installed without its files.
    """
    return np.stack([_slice(name, size) for name in files])


def _slice(name: str, size: int) -> NDArray[np.float32]:
    import pydicom
    from pydicom.data import get_testdata_file

    path = get_testdata_file(name, download=False)
    if path is None:
        raise DataError(f"pydicom's {name} is not installed: run  pip install --force-reinstall pydicom")
    pixels = pydicom.dcmread(str(path)).pixel_array.astype(np.float32)
    height, width = pixels.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = pixels[top : top + side, left : left + side]
    method = cv2.INTER_AREA if side >= size else cv2.INTER_CUBIC
    low, high = np.percentile(square, WINDOW)
    shown = np.clip((cv2.resize(square, (size, size), interpolation=method) - low) / (high - low), 0, 1)
    away = np.arange(size) - size // 2
    return np.asarray(shown * (np.hypot(*np.meshgrid(away, away)) < size // 2), np.float32)

"""fastMRI (Zbontar et al., arXiv:1811.08839): one HDF5 file a volume.

    kspace                complex64 (slices, H, W), single coil, or (slices, coils, H, W)
    reconstruction_esc    float32 (slices, h, w), single coil; reconstruction_rss: of several coils
    attributes            acquisition, patient_id, max

Files of the test sets have no reconstruction: it is made from their k-space, by the root of the sum of squares over the
coils, cropped to the middle 320×320. Images are over the brightest pixel of their volume.
"""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import DataError, needed
from edgerecon.workshop.data.public.subject import Entry, Subject, natural, reading, to_range

SIDE = 320
_TARGETS = ("reconstruction_esc", "reconstruction_rss")


def find(path: Path) -> list[Entry]:
    """The file itself, or the HDF5 files of a folder and those below, if the first of them holds k-space.

    Raises:
        DataError: that first file is damaged, or no HDF5 at all.
    """
    files = [path] if path.is_file() else sorted(path.rglob("*.h5"), key=natural)
    files = [file for file in files if file.suffix == ".h5"]
    if not files:
        return []
    with reading(files[0]), _h5py().File(files[0], "r") as file:
        if "kspace" not in file:
            return []
    return [Entry(file.stem, _patient(file), partial(_read, file)) for file in files]


def _h5py() -> Any:
    with needed("train", "h5py"):
        import h5py
    return h5py


def _patient(path: Path) -> str:
    """A patient's volumes share a code that does not tell who it is."""
    with reading(path), _h5py().File(path, "r") as file:
        code = str(file.attrs.get("patient_id", path.stem))
    return f"patient-{hashlib.sha256(code.encode()).hexdigest()[:8]}"


def _read(path: Path) -> Subject:
    with reading(path), _h5py().File(path, "r") as file:
        kspace = np.asarray(file["kspace"], np.complex64)
        target = next((np.asarray(file[name], np.float32) for name in _TARGETS if name in file), None)
        label = file.attrs.get("acquisition")
    if kspace.ndim == 3:
        kspace = kspace[:, None]
    if kspace.ndim != 4 or not kspace.size:
        raise DataError(f"{path}: its k-space is of shape {kspace.shape}, not (slices, coils, H, W)")
    images = reconstruct(kspace) if target is None else target
    if len(images) != len(kspace):
        raise DataError(f"{path} holds {len(kspace)} slices of k-space and {len(images)} images")
    return Subject(
        path.stem,
        _patient(path),
        to_range(images, 0.0, float(images.max())),
        None,
        None if label is None else str(label),
        kspace,
    )


def reconstruct(kspace: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Slices × coils × H × W → magnitude images, slices × h × w, at most 320×320 from the middle."""
    middle = np.fft.ifftshift(kspace, axes=(-2, -1))
    coils = np.fft.fftshift(np.fft.ifft2(middle, norm="ortho"), axes=(-2, -1))
    image = np.sqrt((np.abs(coils) ** 2).sum(1))
    top, left = (max(0, (side - SIDE) // 2) for side in image.shape[1:])
    return np.asarray(image[:, top : top + SIDE, left : left + SIDE], np.float32)

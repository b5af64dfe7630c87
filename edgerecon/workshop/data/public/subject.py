"""What every public set becomes: subjects, read one by one, and split without reading them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import DataError, EdgereconError, SourceError
from edgerecon.core.frame import MAX_PIXELS


@dataclass(frozen=True)
class Subject:
    """Images of one size that belong together: a volume, a sequence, a view, a picture.

    Attributes:
        name: unique in the set; never patient data. patient: the same where the same person or phantom is shown.
        images: uint8, or float32 in [0, 1]; (N, H, W). mask: uint8 (N, H, W), 0 being background; or None.
        label: of all images, e.g. "benign"; or None.
        kspace: complex64 (N, coils, H, W) of MRI, the centre in the middle; or None. Its H×W may exceed the images'.
    """

    name: str
    patient: str
    images: NDArray[Any]
    mask: NDArray[np.uint8] | None = None
    label: str | None = None
    kspace: NDArray[np.complex64] | None = None

    def check(self) -> Subject:
        """Raises DataError: no images, another type, values that are not finite, or a mask of another size."""
        images, mask = self.images, self.mask
        if images.ndim != 3 or images.size == 0 or images.dtype not in (np.uint8, np.float32):
            raise DataError(f"{self.name} holds no images, but {images.dtype} of shape {images.shape}")
        if images.shape[1] * images.shape[2] > MAX_PIXELS:
            raise DataError(
                f"{self.name} has images of {images.shape[1]}×{images.shape[2]}: at most {MAX_PIXELS:,} pixels"
            )
        if images.dtype == np.float32 and not np.isfinite(images).all():
            raise DataError(f"{self.name} holds NaN or infinite values")
        if mask is not None and mask.shape != images.shape:
            raise DataError(f"{self.name}: its mask is {mask.shape}, its images are {images.shape}")
        return self


@dataclass(frozen=True)
class Entry:
    """A subject that is not read yet."""

    name: str
    patient: str
    read: Callable[[], Subject]


@dataclass(frozen=True)
class PublicSet:
    """The subjects of one data set, in natural order; each is read when it is its turn.

    Attributes:
        kind: "PICMUS", "CAMUS", "BUSI", "fastMRI" or "DICOM".
    """

    kind: str
    entries: tuple[Entry, ...]

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Subject]:
        """Raises DataError: a file is damaged, or the sizes within a subject differ; the message is one line."""
        for entry in self.entries:
            yield entry.read().check()

    @property
    def patients(self) -> list[str]:
        """Every patient once, in order."""
        return list(dict.fromkeys(entry.patient for entry in self.entries))


def split_by_subject(found: PublicSet, held_out: float) -> tuple[PublicSet, PublicSet]:
    """Training and held-out subjects that share no patient.

    Every k-th patient is held out, k = round(1 / held_out), so that the split is the same everywhere.

    Raises:
        DataError: too few patients for both parts.
    """
    every = max(2, round(1 / held_out))
    chosen = set(found.patients[every - 1 :: every])
    if not chosen:
        raise DataError(f"{len(found.patients)} patients are too few to hold out 1 in {every}")
    parts = ([e for e in found.entries if (e.patient in chosen) is held] for held in (False, True))
    training, rest = (PublicSet(found.kind, tuple(part)) for part in parts)
    return training, rest


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever a library raises on a damaged file becomes one line."""
    try:
        yield
    except SourceError as error:
        raise DataError(str(error)) from None
    except EdgereconError:
        raise
    except (
        OSError,
        RuntimeError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        ArithmeticError,
        EOFError,
        AssertionError,
        NotImplementedError,
        struct.error,
        zlib.error,
    ) as error:
        reason = (str(error).strip("'\" ").splitlines() or [""])[0] or type(error).__name__
        raise DataError(f"cannot read {path}: {reason}; is it whole? copy it again") from None


def to_range(values: NDArray[Any], low: float, high: float) -> NDArray[np.float32]:
    """float32, ``low`` at 0 and ``high`` at 1, clipped; a constant becomes 0."""
    scaled = (values.astype(np.float32) - np.float32(low)) / np.float32(high - low or 1.0)
    return np.asarray(np.clip(scaled, 0, 1), np.float32)


def natural(path: Path) -> list[Any]:
    """Sorting key by which frame2 stands before frame10."""
    from edgerecon.stream.sources.files.images import natural_order

    return natural_order(path.as_posix())

"""Scenes that no training saw, with their truth, which lie beside a model file: what any engine can be measured on.

NAME.pairs.npz beside NAME.onnx belongs to that model and holds ``given`` and ``wanted``. Models of the shipped tasks do
without: export/heldout.npz holds simulated scenes for all of them, by field.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import DataError
from edgerecon.core.shipped import resource_dir
from edgerecon.quality.datasets.pairs_file import TASK_FIELDS, read_pairs, sample_names
from edgerecon.quality.measures.full_reference import psnr, ssim

SCENES = 8
"""As many are kept: enough to tell precisions and runtimes apart, few enough to travel."""
SHIPPED = "heldout.npz"
_DAMAGE = (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error)
"""What NumPy raises for an archive that is damaged or lacks an array."""


@dataclass(frozen=True)
class HeldOut:
    """given: scenes (n, H, W) or sequences (n, T, H, W), uint8 or float32 in [0, 1]. wanted: their truth, whose H and W
    are those of the model's output."""

    given: NDArray[Any]
    wanted: NDArray[Any]


def pairs_path(model: Path) -> Path:
    """Of the file with a model's own held-out scenes, whether it is there or not."""
    return model.with_suffix(".pairs.npz")


def find_heldout(model: Path, task: str, data: Path | None = None) -> HeldOut | None:
    """The scenes for a model; None when there are none.

    Args:
        model: the fp32 file of its family. data: pairs as ``edgerecon simulate`` writes them, which models of the
            shipped tasks are measured on instead.

    Raises:
        DataError: the file is damaged, or of another layout. DependencyError: ``data`` is given and h5py absent.
    """
    if data is not None and task in TASK_FIELDS:
        given, wanted = zip(*read_pairs(data, sample_names(data), *TASK_FIELDS[task]), strict=True)
        return HeldOut(_stacked(data, given), _stacked(data, wanted))
    own = pairs_path(model)
    if own.is_file():
        return _read(own, "given", "wanted")
    shipped = resource_dir("export") / SHIPPED
    if task in TASK_FIELDS and shipped.is_file():
        return _read(shipped, *TASK_FIELDS[task])
    return None


def write_heldout(model: Path, given: NDArray[Any], wanted: NDArray[Any]) -> Path:
    """Keep the first ``SCENES`` beside a model, floats in half precision.

    Raises:
        OSError: the folder cannot be written.
    """
    path = pairs_path(model)
    half = [x[:SCENES].astype(np.float16 if x.dtype.kind == "f" else x.dtype) for x in (given, wanted)]
    np.savez_compressed(path, given=half[0], wanted=half[1])
    return path


def restored_quality(outputs: NDArray[np.float32], wanted: NDArray[Any]) -> tuple[float, float]:
    """PSNR in dB and SSIM, means over all images; brightness is not matched first.

    Args:
        outputs, wanted: (…, H, W); uint8 counts as [0, 255].

    Raises:
        DataError: the shapes differ, or the images are too small.
    """
    if outputs.shape != wanted.shape:
        raise DataError(f"an output of shape {outputs.shape[-2:]} has no truth of shape {wanted.shape[-2:]}")
    truth = _unit(wanted).reshape(-1, *wanted.shape[-2:])
    both = list(zip(outputs.reshape(truth.shape), truth, strict=True))
    try:
        return fmean(psnr(a, b) for a, b in both), fmean(ssim(a, b) for a, b in both)
    except ValueError as error:
        raise DataError(f"images too small to be compared: {error}") from None


def _read(path: Path, *names: str) -> HeldOut:
    try:
        with np.load(path, allow_pickle=False) as file:
            given, wanted = (file[name] for name in names)
    except _DAMAGE as error:
        raise DataError(f"{path} is damaged or lacks {' or '.join(names)} ({error}): make it anew") from None
    _refuse(path, [given, wanted])
    return HeldOut(*(x.astype(np.float32) if x.dtype.kind == "f" else x for x in (given, wanted)))


def _stacked(path: Path, images: Sequence[NDArray[Any]]) -> NDArray[Any]:
    if len({image.shape for image in images}) > 1:
        raise DataError(f"{path} holds scenes of several sizes: simulate them of one")
    return np.stack(images)


def _refuse(path: Path, arrays: Sequence[NDArray[Any]]) -> None:
    shapes = [x.shape for x in arrays]
    sound = all(x.ndim in (3, 4) and x.size and x.dtype in (np.uint8, np.float16, np.float32) for x in arrays)
    if not sound or shapes[0][:-2] != shapes[1][:-2]:
        raise DataError(f"{path} must hold uint8 or float images (n, H, W) or (n, T, H, W), not {shapes}")


def _unit(images: NDArray[Any]) -> NDArray[np.float32]:
    return images.astype(np.float32) / np.float32(255 if images.dtype == np.uint8 else 1)

"""CAMUS, echocardiography of 500 patients (Leclerc et al., IEEE TMI 38(9), 2019), in either of its two layouts.

    patient0001/patient0001_2CH_ED.mhd (.raw)      …_2CH_ED_gt.mhd      …_2CH_sequence.mhd
    patient0001/patient0001_2CH_ED.nii.gz          …_2CH_ED_gt.nii.gz   …_2CH_half_sequence.nii.gz

A subject is one view at one moment (end diastole ED, end systole ES) with its mask: 1 left ventricle, 2 myocardium,
3 left atrium. A view's sequence is a subject too, with the mask of the newer layout where there is one.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import DataError
from edgerecon.stream.sources.files.metaimage import open_metaimage
from edgerecon.workshop.data.public.nifti import read_nifti
from edgerecon.workshop.data.public.subject import Entry, Subject, natural, reading, to_range

_NAME = re.compile(r"(patient\d+)_(2CH|4CH)_(ED|ES|sequence|half_sequence)\.(mhd|nii\.gz|nii)")


def find(path: Path) -> list[Entry]:
    """Files of either layout in a folder and those below."""
    if not path.is_dir():
        return []
    found = []
    for file in sorted(path.rglob("patient*"), key=natural):
        if (match := _NAME.fullmatch(file.name)) and file.is_file():
            patient, view, moment, _ = match.groups()
            found.append(Entry(f"{patient}_{view}_{moment}", patient, partial(_read, file, match)))
    return found


def _read(file: Path, match: re.Match[str]) -> Subject:
    patient, view, moment, ending = match.groups()
    name = f"{patient}_{view}_{moment}"
    images = _values(file)
    if images.dtype != np.uint8:
        images = to_range(images, float(images.min()), float(images.max()))
    drawn = file.with_name(f"{name}_gt.{ending}")
    mask = _values(drawn).astype(np.uint8) if drawn.is_file() else None
    return Subject(name, patient, images, mask, f"{view} {moment}")


def _values(file: Path) -> NDArray[Any]:
    """(N, H, W) of either kind of file."""
    with reading(file):
        if file.suffix != ".mhd":
            return read_nifti(file)
        frames = [capture.image for capture in open_metaimage(file).frames()]
        if any(frame is None for frame in frames):
            raise DataError(f"{file} ends early: it is truncated")
        return np.stack([frame for frame in frames if frame is not None])

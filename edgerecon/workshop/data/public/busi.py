"""BUSI, breast ultrasound images (Al-Dhabyani et al., Data in Brief 28, 2020).

    benign/benign (1).png   benign/benign (1)_mask.png   benign/benign (1)_mask_1.png   malignant/…   normal/…

Masks of several lesions are joined. The set names no patients: every picture counts as one of its own.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from edgerecon.core.errors import DataError
from edgerecon.core.frame import to_gray
from edgerecon.workshop.data.public.subject import Entry, Subject, natural, reading

LABELS = ("benign", "malignant", "normal")


def find(path: Path) -> list[Entry]:
    """Pictures in the three folders, at ``path`` or one level below."""
    if not path.is_dir():
        return []
    roots = [path, *sorted(child for child in path.iterdir() if child.is_dir())]
    root = next((root for root in roots if all((root / label).is_dir() for label in LABELS[:2])), None)
    if root is None:
        return []
    return [
        Entry(picture.stem, picture.stem, partial(_read, picture, label))
        for label in LABELS
        for picture in sorted((root / label).glob("*.png"), key=natural)
        if not re.search(r"_mask(_\d+)?$", picture.stem)
    ]


def _read(picture: Path, label: str) -> Subject:
    image = _grey(picture)
    mask = np.zeros(image.shape, np.uint8)
    for file in sorted(picture.parent.glob("*_mask*.png")):
        if re.fullmatch(re.escape(picture.stem) + r"_mask(_\d+)?", file.stem):
            drawn = _grey(file)
            if drawn.shape != image.shape:
                raise DataError(
                    f"{file.name} is {drawn.shape[0]}×{drawn.shape[1]}, its picture is "
                    f"{image.shape[0]}×{image.shape[1]}"
                )
            mask |= (drawn > 127).astype(np.uint8)
    return Subject(picture.stem, picture.stem, image[None], mask[None], label)


def _grey(file: Path) -> np.ndarray:
    from PIL import Image

    with reading(file), Image.open(file, formats=["PNG"]) as image:
        return np.asarray(to_gray(np.asarray(image.convert("RGB"))), np.uint8)

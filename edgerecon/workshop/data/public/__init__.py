"""Public data sets as people download them: one file a format, one result.

for subject in open_public("CAMUS/database_nifti"):
    subject.images, subject.mask, subject.label
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from edgerecon.core.errors import DataError
from edgerecon.workshop.data.public.subject import Entry, PublicSet, Subject, split_by_subject

__all__ = ["KINDS", "Entry", "PublicSet", "Subject", "open_public", "split_by_subject"]

KINDS = {"picmus": "PICMUS", "camus": "CAMUS", "busi": "BUSI", "fastmri": "fastMRI", "dicom": "DICOM"}
"""Files of this folder, each with ``find(path) -> list[Entry]``, empty where the layout is another one."""


def open_public(path: str | Path) -> PublicSet:
    """Recognise a layout by what it holds.

    Args:
        path: a folder, searched with its subfolders, or one file of a format whose files stand alone.

    Raises:
        DataError: nothing there, or a layout that is not known. DependencyError: the package of a format is absent.
    """
    path = Path(os.path.expanduser(path))
    if not path.exists():
        raise DataError(f"{path} does not exist")
    for module, kind in KINDS.items():
        entries = importlib.import_module(f"{__name__}.{module}").find(path)
        if entries:
            return PublicSet(kind, tuple(entries))
    raise DataError(f"{path} has a layout that is not known: give {', '.join(KINDS.values())} as they are downloaded")

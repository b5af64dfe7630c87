"""Finds records: the one object at the end of each file of a folder that describes what the file brings."""

from __future__ import annotations

import importlib
import logging
import pkgutil
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from edgerecon.core.errors import first_line

Record = TypeVar("Record")
_log = logging.getLogger(__name__)


def find_records(kind: type[Record], attribute: str, folders: tuple[str, ...], group: str) -> list[Record]:
    """The records of this package's folders, in the order of their files, then those of other packages.

    Every module of the folders is imported, so such modules import heavy libraries inside their functions. An entry
    point that cannot be loaded, or holds something else, is left out with a warning.

    Args:
        kind: class of the records. attribute: their name in the modules. folders: packages, by their full names.
        group: of the entry points, ``name = "module:RECORD"``.
    """
    found: list[Record] = []
    for folder in folders:
        for module in pkgutil.iter_modules(importlib.import_module(folder).__path__, f"{folder}."):
            record = getattr(importlib.import_module(module.name), attribute, None)
            if isinstance(record, kind):
                found.append(record)
    for point in points_of(group):
        try:
            record = point.load()
        except Exception as error:  # noqa: BLE001 - a plug-in may fail in any way; the others still work
            _log.warning("the plug-in '%s' of %s cannot be loaded: %s", point.name, group, first_line(error))
            continue
        if isinstance(record, kind):
            found.append(record)
        else:
            _log.warning("the plug-in '%s' of %s is no %s: it is left out", point.name, group, kind.__name__)
    return found


@cache
def points_of(group: str) -> tuple[EntryPoint, ...]:
    """Entry points of the installed packages."""
    return tuple(_installed().select(group=group))


@cache
def _installed() -> Any:  # Python 3.10 has another class for it
    return entry_points()  # of all groups: reading them again for each one would take as long again

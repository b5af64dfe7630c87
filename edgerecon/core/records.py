"""Finds records: the objects at the end of each file of a folder that describe what the file brings."""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from edgerecon.core.errors import first_line

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Record = TypeVar("Record")
_log = logging.getLogger(__name__)


class Records(Mapping[str, Record]):
    """The records of this package's folders, in the order of their files, then those of other packages, by name.

    Nothing is imported before a record is asked for. A record that is called like its file costs the import of that
    file alone; every file of the folders is imported for the whole list and for names that no file has. Such files
    import heavy libraries inside their functions. An entry point that cannot be loaded, holds something else, or
    brings a name that is taken is left out with a warning.

    Args:
        kind: class of the records. attribute: what holds one, or several, in the modules. folders: packages, by their
            full names. group: of the entry points, ``name = "module:ATTRIBUTE"``.
        key: attribute of a record that is its name. order: of this package's records, as ``sorted`` takes it.
    """

    def __init__(
        self,
        kind: type[Record],
        attribute: str,
        folders: tuple[str, ...],
        group: str,
        key: str = "name",
        order: Callable[[Record], Any] | None = None,
    ) -> None:
        self._kind, self._attribute, self._folders, self._group = kind, attribute, folders, group
        self._key, self._order = key, order
        self._all: dict[str, Record] | None = None

    def __getitem__(self, name: str) -> Record:
        if self._all is None and (found := self._in_file(name)) is not None:
            return found
        return self._known()[name]

    def __contains__(self, name: object) -> bool:  # Mapping's own would do; this one imports no more than it must
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())

    def _in_file(self, name: str) -> Record | None:
        """The record of that name in the file of that name."""
        for folder in self._folders if name.isidentifier() else ():
            if find_spec(f"{folder}.{name}") is not None:
                for record in self._held(getattr(importlib.import_module(f"{folder}.{name}"), self._attribute, None)):
                    if getattr(record, self._key) == name:
                        return record
        return None

    def _known(self) -> dict[str, Record]:
        if self._all is None:
            own = [record for folder in self._folders for record in self._in_folder(folder)]
            own = sorted(own, key=self._order) if self._order else own
            found = {getattr(record, self._key): record for record in own}
            for record in self._of_others():
                name = getattr(record, self._key)
                if found.setdefault(name, record) is not record:
                    _log.warning("a plug-in of %s brings '%s', a name that is taken: it is left out", self._group, name)
            self._all = found
        return self._all

    def _in_folder(self, folder: str) -> Iterator[Record]:
        for module in pkgutil.iter_modules(importlib.import_module(folder).__path__, f"{folder}."):
            yield from self._held(getattr(importlib.import_module(module.name), self._attribute, None))

    def _held(self, value: object) -> list[Record]:
        """The records that an attribute holds: itself, or those in it."""
        values: Iterable[object] = value if isinstance(value, (tuple, list)) else (value,)
        return [one for one in values if isinstance(one, self._kind)]

    def _of_others(self) -> Iterator[Record]:
        for point in points_of(self._group):
            try:
                value = point.load()
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a plug-in may fail in any way; the others still work
                _log.warning("the plug-in '%s' of %s cannot be loaded: %s", point.name, self._group, first_line(error))
                continue
            if not (records := self._held(value)):
                kind = self._kind.__name__
                _log.warning("the plug-in '%s' of %s is no %s: it is left out", point.name, self._group, kind)
            yield from records


@cache
def points_of(group: str) -> tuple[EntryPoint, ...]:
    """Entry points of the installed packages."""
    return tuple(_installed().select(group=group))


@cache
def _installed() -> Any:  # Python 3.10 has another class for it
    from importlib.metadata import entry_points  # slow to import, and of use for whole lists alone

    return entry_points()  # of all groups: reading them again for each one would take as long again

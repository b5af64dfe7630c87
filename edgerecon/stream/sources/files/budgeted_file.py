"""A file of which a library may read so much and no more, so that it takes memory for no more than that."""

from __future__ import annotations

import io
from typing import BinaryIO

from edgerecon.core.errors import SourceError


class BudgetedFile(io.BufferedReader):
    """Reads as ``file`` does until the budget is spent; what is skipped by ``seek`` is free.

    Args:
        name: of the recording.
        at_most: bytes. too_much: what the message says of a recording that takes more.
    """

    def __init__(self, file: BinaryIO, name: str, at_most: int, too_much: str) -> None:
        super().__init__(file)  # type: ignore[arg-type]
        self._name, self._at_most, self._too_much = name, at_most, too_much
        self.refill()

    @property
    def name(self) -> str:
        return self._name

    def refill(self) -> None:
        """Give it the whole budget again."""
        self._left = self._at_most

    def read(self, size: int | None = -1) -> bytes:
        """Raises SourceError when the budget is spent."""
        if size is None or size < 0 or size > self._left:
            size = self._left + 1
        data = super().read(size)
        self._left -= len(data)
        if self._left < 0:
            raise SourceError(f"{self._name} {self._too_much}")
        return data

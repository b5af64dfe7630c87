"""The fields of a header in text (MetaImage, NRRD), read as what they have to be; a message names the one at fault."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from edgerecon.core.errors import SourceError

T = TypeVar("T")
_MILLIMETRES = {
    **dict.fromkeys(("", "?", "mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1.0),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 10.0),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1e3),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometers", "micrometre"), 1e-3),
}
"""Of one unit; of none stated, 1."""
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_QUOTED_AT_MOST = 60  # characters


def key_of(name: str) -> str:
    """Small letters without spaces: writers spell a field in many ways."""
    return name.replace(" ", "").lower()


def millimetres(unit: str) -> float:
    """How many millimetres a unit of length has; NaN of another one, as of pixels or inches."""
    return _MILLIMETRES.get(unit.strip().lower(), math.nan)


@dataclass(frozen=True)
class HeaderFields:
    """What a header says.

    Attributes:
        file: its name, for messages. texts: of each field, by ``key_of`` its name.
    """

    file: str
    texts: Mapping[str, str]

    def text(self, name: str, default: str | None = None) -> str:
        """A field as it stands there; ``name`` is spelled as its format spells it, for messages.

        Raises:
            SourceError: it is missing or empty, and has no default.
        """
        found = self.texts.get(key_of(name)) or default
        if found is None:
            raise SourceError(f"{self.file}: the field '{name}' is missing")
        return found

    def whole_numbers(self, name: str) -> list[int]:
        """Raises SourceError when it is missing, or holds anything but whole numbers."""
        words = self.text(name).split()
        if not all(map(_WHOLE.fullmatch, words)):
            raise self._fault(name, "holds no whole numbers")
        return [int(word) for word in words]

    def whole_number(self, name: str, default: int) -> int:
        """Raises SourceError when it is there and not one whole number."""
        if not self.texts.get(key_of(name)):
            return default
        numbers = self.whole_numbers(name)
        if len(numbers) != 1:
            raise self._fault(name, "holds more than one number")
        return numbers[0]

    def numbers(self, name: str) -> list[float]:
        """Numbers, NaN among them; none when it is missing. Raises SourceError when it holds anything else."""
        return self.numbers_in(name, self.text(name, "").split())

    def numbers_in(self, name: str, words: list[str]) -> list[float]:
        """Words of a field as numbers.

        Raises:
            SourceError: one of them is none; the message quotes the whole field.
        """
        try:
            return [float(word) for word in words]
        except ValueError:
            raise self._fault(name, "holds no numbers") from None

    def refuse_other_count(self, name: str, stated: int, sizes: str) -> None:
        """Refuse a header whose number of dimensions is not that of its sizes: nobody knows which of them is wrong.

        Raises:
            SourceError: it states another number.
        """
        if self.whole_number(name, stated) != stated:
            raise self._fault(name, f"does not fit the {stated} numbers of '{sizes}'")

    def one_of(self, name: str, known: Mapping[str, T], default: str | None = None) -> T:
        """What a word of a format stands for, in whatever letters.

        Raises:
            SourceError: it is missing, or not known.
        """
        word = self.text(name, default).lower()
        if word not in known:
            raise self._fault(name, "is none of those that are read")
        return known[word]

    def is_true(self, name: str, default: bool = False) -> bool:
        """Yes or no by its first letter, as MetaIO reads it.

        Raises:
            SourceError: it is there and neither.
        """
        word = self.text(name, str(default)).lower()[:1]
        if word not in tuple("t1f0"):
            raise self._fault(name, "is neither True nor False")
        return word in ("t", "1")

    def lengths_of_vectors(self, name: str) -> list[float]:
        """Of vectors as ``(1,0,0) none (0,0,2)``: the length of each, NaN for none of them.

        Raises:
            SourceError: a vector holds anything but numbers.
        """
        text = self.text(name, "")
        if re.sub(r"none|\([^)]*\)|\s", "", text):
            raise self._fault(name, "holds no vectors")
        vectors = re.findall(r"none|\(([^)]*)\)", text)
        return [math.hypot(*self.numbers_in(name, one.split(","))) if one else math.nan for one in vectors]

    def _fault(self, name: str, what: str) -> SourceError:
        text = self.texts.get(key_of(name), "")
        quoted = text if len(text) <= _QUOTED_AT_MOST else f"{text[:_QUOTED_AT_MOST]}…"
        return SourceError(f"{self.file}: the field '{name}' {what}: '{quoted}'")

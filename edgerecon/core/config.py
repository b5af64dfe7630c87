"""TOML and JSON that someone wrote: reading it, and what is wrong with it in words that say what to do.

Pydantic's own name neither the key that was meant nor what was given.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from edgerecon.core.errors import EdgereconError, UsageError, first_line
from edgerecon.core.files import read
from edgerecon.core.json import parse

if TYPE_CHECKING:
    from pydantic import ValidationError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")

_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_ABSENT = ("missing", "missing_argument")
_KINDS = {
    "tuple_type": "a list in [ ]",
    "model_type": "a table",
    "dataclass_type": "a table",
    "dict_type": "a table",
    "string_type": "text in quotes",
    "path_type": "a path in quotes",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "float_type": "a number",
    "float_parsing": "a number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
}
_LONGEST = 80
MAX_TEXT = 64 << 20
"""Bytes of a text that is read at once: results of a long study are a tenth of it."""


def read_toml(path: Path, kind: type[EdgereconError], what: str) -> tuple[str, dict[str, Any]]:
    """The text of a file, for finding lines in it, and its tables.

    Args:
        kind: of error to raise. what: the file in words, for when it cannot be read, e.g. "the recipe a.toml".

    Raises:
        EdgereconError: of that kind, one line: missing, unreadable or not valid TOML.
    """
    text = read_text(path, kind, what)
    try:
        return text, tomllib.loads(text)
    except RecursionError:
        raise kind(f"{path} is not valid TOML: it is nested too deeply") from None
    except ValueError as error:  # of TOML itself, or of an integer of thousands of digits
        raise kind(f"{path} is not valid TOML: {first_line(error)}") from None


def read_json(path: Path, kind: type[EdgereconError], what: str) -> Any:
    """What a JSON file says.

    Args:
        kind: of error to raise. what: the file in words.

    Raises:
        EdgereconError: of that kind, one line: missing, unreadable, too large or no JSON.
    """
    try:
        return parse(read_text(path, kind, what))
    except ValueError as error:
        raise kind(f"{what} is no JSON: {first_line(error)}") from None


def read_text(path: Path, kind: type[EdgereconError], what: str) -> str:
    """A plain file of UTF-8 text, without the byte order mark that editors on Windows begin it with.

    Raises:
        EdgereconError: of that kind, one line: missing, unreadable, no plain file, too large or no text.
    """
    try:
        return read(path, MAX_TEXT).decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, ValueError) as error:
        raise kind(f"cannot read {what}: {getattr(error, 'strerror', None) or error}") from None


def as_json(tables: Mapping[str, Any]) -> str:
    """Tables of TOML for pydantic's strict JSON mode, which takes ``true`` and ``"3"`` for no numbers, but lists for
    tuples. Dates become text."""
    return json.dumps(tables, default=str)


def first_fault(error: ValidationError, table: type) -> tuple[tuple[int | str, ...], str]:
    """The fault to mend first, and what to do.

    Args:
        error: of validating ``table``, a pydantic model or a dataclass.

    Returns:
        The keys that lead to it, () for the table as a whole, and one line without them.
    """
    # A misspelt key is absent as well: how it was spelt says more.
    first = min(error.errors(), key=lambda each: each["type"] in _ABSENT)
    keys, message = first["loc"], first["msg"]
    if first["type"] in _UNKNOWN:
        return keys, _unknown(str(keys[-1]), _known(table, keys[:-1]))
    if first["type"] in _ABSENT:
        return keys, "it is absent: give one"
    if first["type"] == "too_short":
        return keys, f"give at least {first['ctx']['min_length']}"
    if message.startswith("Value error, "):
        return keys, message.removeprefix("Value error, ")
    kind, words = _KINDS.get(first["type"]), message.partition(" should ")[2]
    if not (kind or words):
        return keys, message[:1].lower() + message[1:]
    given = "" if isinstance(first["input"], Mapping | list | tuple) else f", not {first['input']!r}"
    return keys, f"it should {f'be {kind}' if kind else words}{given if len(given) < _LONGEST else ''}"


def accepted_by(check: Callable[[T], object]) -> Callable[[T], T]:
    """A validator for pydantic of a value that ``check`` accepts: it refuses others with the words of its UsageError.

    Examples:
        >>> def check(backend):
        ...     if backend not in ("native", "openvino"):
        ...         raise UsageError(f"unknown backend '{backend}'")
        >>> accepted_by(check)("native")
        'native'
    """

    def validator(value: T) -> T:
        try:
            check(value)
        except UsageError as error:
            raise ValueError(str(error)) from None
        return value

    return validator


def dotted(keys: tuple[int | str, ...]) -> str:
    """e.g. "train.loss.ssim", "power_modes.0.watts"."""
    return ".".join(map(str, keys))


def _unknown(key: str, known: tuple[str, ...]) -> str:
    if not known:
        return "there is no such key: remove it"
    near = get_close_matches(key, known, n=1)
    advice = f"did you mean {near[0]}?" if near else "remove it."
    return f"there is no such key: {advice} Known: {', '.join(known)}"


def _known(table: type, keys: tuple[int | str, ...]) -> tuple[str, ...]:
    """Keys that may stand in the table to which ``keys`` lead; () where any may or nobody can tell."""
    kind: Any = table
    for key in keys:
        if isinstance(key, str):
            kind = _inner(_fields(kind).get(key))
    return tuple(_fields(kind))


def _fields(kind: object) -> dict[str, Any]:
    """Key → type of the tables that a model or dataclass describes; {} for all else."""
    if described := getattr(kind, "model_fields", None):
        return {name: each.annotation for name, each in described.items()}
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        return {each.name: hints[each.name] for each in fields(kind)}
    return {}


def _inner(kind: object) -> object:
    """The table in ``Table | None`` or ``tuple[Table, ...]``; ``kind`` itself where there is none."""
    return next((found for part in get_args(kind) if _fields(found := _inner(part))), kind)

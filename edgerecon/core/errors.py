"""The exceptions a user can meet. Each message is one line and says what to do next.

The command line prints the message alone on stderr and leaves with ``exit_code``: 1 when the work failed or a gate
refused, 2 when the call itself was wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

_PASSWORD = re.compile(r"(?!file:)\b(?P<scheme>[A-Za-z][\w+.-]+:(?://|/(?!/)))[^\s'\"]+@")
_SECRET_OPTION = re.compile(r"(?P<key>[?&](?:auth|pass|passwd|password|pwd|secret|token)=)[^&\s'\"]+", re.IGNORECASE)


def redacted(text: str) -> str:
    """A text whose addresses are without what stands before their host, and without options that hold a secret."""
    return _SECRET_OPTION.sub(r"\g<key>…", _PASSWORD.sub(r"\g<scheme>…@", text))


def printable(text: str) -> str:
    """Text for a screen: control characters, which a file's name may hold and a terminal obeys, are spelled out."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


class EdgereconError(Exception):
    """Base of every error that edgerecon raises on purpose.

    Its message goes to screens, logs and reports: it is ``redacted`` and ``printable``.

    Attributes:
        exit_code: of the command that ends with it, 1 or 2.

    Examples:
        >>> from edgerecon.stream.sources import open_source
        >>> try:
        ...     open_source("absent.dcm")
        ... except EdgereconError as error:
        ...     print(str(error).partition(":")[0])
        absent.dcm does not exist
    """

    exit_code = 1

    def __init__(self, *words: object) -> None:
        super().__init__(*(printable(redacted(word)) if isinstance(word, str) else word for word in words))


class UsageError(EdgereconError):
    """An argument makes no sense (unknown name, impossible combination)."""

    exit_code = 2


class SourceError(EdgereconError):
    """A source of frames is missing, unreadable, empty or not an ultrasound image."""


class AcquisitionError(SourceError):
    """Channel data do not fit what is said of them, or that makes no sense; the message names the field."""


class SinkError(EdgereconError):
    """A sink could not be opened or written (unwritable folder, port in use, disk full)."""


class ModelError(EdgereconError):
    """An ONNX file is missing, corrupt, not made by edgerecon, or reaches outside its folder."""


class EngineError(EdgereconError):
    """An engine could not be built or failed on a frame."""


class DataError(EdgereconError):
    """A training or evaluation data file is missing, corrupt or of another layout."""


class RecipeError(EdgereconError):
    """A recipe (export/*.toml) is invalid; the message names the key."""


class ConfigError(EdgereconError):
    """The file of streams to serve is invalid; the message names file, line and key."""


class DeviceError(EdgereconError):
    """A device profile (devices/*.toml) is missing or invalid; the message names file and key."""


class GateError(EdgereconError):
    """A parity, quality or latency gate refused; the message says by how much."""


class DependencyError(EdgereconError):
    """An optional package is absent; the message names the extra that brings it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed: run  pip install 'edgerecon[{extra}]'")


class LoadError(EdgereconError):
    """An optional package is installed and does not load: too little memory, or libraries that do not fit."""

    def __init__(self, package: str, reason: BaseException) -> None:
        why = first_line(reason)
        super().__init__(f"{package} is installed and does not load ({why}): free memory, or install it again")


@contextmanager
def needed(extra: str, package: str = "") -> Iterator[None]:
    """Around the import of an optional package.

    Args:
        extra: of ours that brings it. package: as the package index spells it; default: the name of the module.

    Raises:
        DependencyError: it is not installed. LoadError: it is, and does not load.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise DependencyError(package or (error.name or extra).partition(".")[0], extra) from None
    except (ImportError, OSError, MemoryError) as error:
        name = error.name if isinstance(error, ImportError) else None
        raise LoadError(package or (name or extra).partition(".")[0], error) from None


_SAID_AT_MOST = 200  # letters


def first_line(error: BaseException) -> str:
    """What an exception of another library says, on one line, for a message of ours.

    Its kind stands for it where it says nothing or fails to, and before it where no library should raise it.
    """
    kind = type(error).__name__
    try:
        said = next(iter(str(error).strip().splitlines()), "")
    except BaseException:  # noqa: BLE001 - its own text raises: its kind is all there is to say
        return kind
    if not said:
        return kind
    if len(said) > _SAID_AT_MOST and not isinstance(error, EdgereconError):  # it quotes what it was given
        said = (
            f"{said[: _SAID_AT_MOST // 3]} … {said[-2 * _SAID_AT_MOST // 3 :]}"  # runtimes give the reason at the end
        )
    return said if isinstance(error, Exception) else f"{kind}: {said}"

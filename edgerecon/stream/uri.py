"""Addresses of sources and sinks, e.g. igtl://host:18944/device."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from os.path import expanduser  # Path.expanduser raises for "~somebody" who is nobody
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from edgerecon.core.errors import UsageError


def split_uri(uri: str) -> SplitResult:
    """The parts of an address whose host and port can be, whatever they stand for.

    Raises:
        UsageError: control characters, a bracket that is not closed, a host that no name can be, a port out of range.
    """
    parts = None
    with suppress(ValueError):  # which quotes the host with its password
        parts = urlsplit(uri)
    brackets = parts.netloc.count("]") if parts else 0  # urlsplit takes more than one
    if parts is None or brackets > 1 or not uri.isprintable() or not _can_be(parts.hostname):
        raise UsageError(f"'{uri}' is no address: give SCHEME://HOST:PORT, an IPv6 host in brackets as in [::1]")
    try:
        _ = parts.port
    except ValueError:
        raise UsageError(f"'{uri}' has no port that can be: give a number from 1 to 65535") from None
    return parts


def file_path(text: str) -> Path:
    """A path, or that of a file:// address; ``~`` is the home folder.

    On Windows the path of file:///C:/data/a.mp4 begins with the drive, not with a slash.

    Raises:
        UsageError: see ``split_uri``. ValueError: ``~`` and a character of code 0.
    """
    if text.startswith("file://"):
        text = unquote(split_uri(text).path)
        if sys.platform == "win32" and re.match("/[A-Za-z]:", text):
            text = text[1:]
    return Path(expanduser(text))


def _can_be(host: str | None) -> bool:
    """Whether a name can be looked up: sockets raise what is no OSError on others."""
    with suppress(UnicodeError):
        return bool((host or "-").encode("idna"))
    return False

"""Addresses of sources and sinks, e.g. igtl://host:18944/device."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import SplitResult, urlsplit

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


def _can_be(host: str | None) -> bool:
    """Whether a name can be looked up: sockets raise what is no OSError on others."""
    with suppress(UnicodeError):
        return bool((host or "-").encode("idna"))
    return False

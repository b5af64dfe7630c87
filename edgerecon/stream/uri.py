"""Addresses of sources and sinks, e.g. igtl://host:18944/device."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from edgerecon.errors import UsageError


def split_uri(uri: str) -> SplitResult:
    """The parts of an address whose host and port can be, whatever they stand for.

    Raises:
        UsageError: a bracket that is not closed, or a port out of range; a password in the address is not repeated.
    """
    shown = re.sub(r"(?<=//)[^@/]*@", "…@", uri)
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise UsageError(f"'{shown}' is no address ({error}): give for example [::1] in brackets") from None
    try:
        _ = parts.port
    except ValueError:
        raise UsageError(f"'{shown}' has no port that can be: give a number from 1 to 65535") from None
    return parts

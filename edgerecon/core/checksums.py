"""SHA-256 of contents, and lists of them as ``sha256sum`` writes and checks them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

SUMS = "SHA256SUMS"
"""Name of such a list, beside the files that it names."""


def sha256(content: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def write_sums(contents: Mapping[str, bytes]) -> bytes:
    """The list of files, by name: 64 hex digits, two spaces, the name."""
    return "".join(f"{sha256(content)}  {name}\n" for name, content in sorted(contents.items())).encode()


def parse_sums(content: bytes) -> dict[str, str]:
    """Name → SHA-256 of a list.

    Raises:
        ValueError: a line is none of such a list, or names a file again; it is quoted.
    """
    sums: dict[str, str] = {}
    for line in content.decode("utf-8", "replace").splitlines():
        fields = re.fullmatch(r"([0-9a-f]{64})  (\S+)", line)
        if not fields or fields[2] in sums:
            raise ValueError(f"a line that makes no sense: {line[:80]!r}")
        sums[fields[2]] = fields[1]
    return sums

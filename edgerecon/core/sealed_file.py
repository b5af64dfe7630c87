"""A file that says what is in it and proves that all of it is there: a header of ours, then the payload.

Layout: 16 bytes of magic; the header's length as an unsigned 32-bit little-endian integer; the header, JSON in UTF-8
(``{"kind", "facts", "length", "sha256"}``, the last two of the payload); the payload to the end of the file.
"""

from __future__ import annotations

import errno
import hashlib
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgerecon.core.errors import EngineError
from edgerecon.core.files import put_in_place, read
from edgerecon.core.json import parse

MAGIC = b"EDGERECON-SEAL1\n"
_LENGTH_BYTES = 4
_MAX_HEADER = 65_536
_MAX_BYTES = 1 << 30


class Refused(Exception):
    """The file is not what it should be; the message is the reason."""


def write_sealed(path: Path, kind: str, facts: Mapping[str, Any], payload: bytes) -> None:
    """Write a sealed file under a temporary name in its folder, flush it to the disk and rename it.

    A file under its final name is complete, whatever interrupts this. The folder is made when absent.

    Args:
        kind: "engine", …; facts: ready for JSON.

    Raises:
        EngineError: the folder cannot be written, or the disk is full.
    """
    seal = {"kind": kind, "facts": dict(facts), "length": len(payload), "sha256": hashlib.sha256(payload).hexdigest()}
    header = json.dumps(seal, sort_keys=True).encode()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                for part in (MAGIC, len(header).to_bytes(_LENGTH_BYTES, "little"), header, payload):
                    file.write(part)
            put_in_place(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise EngineError(
                f"no space left for {path} ({len(payload) / 1e6:.1f} MB): free some, or choose another folder"
            ) from None
        raise EngineError(f"cannot write {path}: {error.strerror or error}") from None


def read_sealed(path: Path, kind: str) -> tuple[dict[str, Any], bytes]:
    """Facts and payload of a sealed file, both whole.

    Raises:
        Refused: unreadable, not ours, of another kind, cut short, or changed since it was written.
    """
    try:
        content = memoryview(read(path, _MAX_BYTES))
    except (OSError, ValueError) as error:
        raise Refused(f"it cannot be read ({getattr(error, 'strerror', None) or error})") from None
    start = len(MAGIC) + _LENGTH_BYTES
    if content[: len(MAGIC)] != MAGIC:
        raise Refused("it was not made by edgerecon, or its beginning is lost")
    end = start + int.from_bytes(content[len(MAGIC) : start], "little")
    if len(content) < start or end > min(len(content), start + _MAX_HEADER):
        raise Refused("it is cut short")
    try:
        seal = parse(bytes(content[start:end]))
        found_kind, facts, length, sha256 = (seal[key] for key in ("kind", "facts", "length", "sha256"))
    except (ValueError, KeyError, TypeError):
        raise Refused("its header is corrupt") from None
    if found_kind != kind:
        raise Refused(f"it holds '{found_kind}', not '{kind}'")
    payload = content[end:]
    if not isinstance(facts, dict) or length != len(payload):
        raise Refused(f"it is cut short or has grown: {len(payload)} bytes where there should be {length}")
    if hashlib.sha256(payload).hexdigest() != sha256:
        raise Refused("it is corrupt: its bytes have changed since it was written")
    return facts, bytes(payload)

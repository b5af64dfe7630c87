"""Lists of SHA-256, against sha256sum's own form."""

from __future__ import annotations

import hashlib

import pytest

from edgerecon.core.checksums import parse_sums, sha256, write_sums

FILES = {"b.onnx": b"two", "a.onnx": b"one"}


def test_a_list_names_every_file_in_order() -> None:
    found = write_sums(FILES)
    assert found == b"".join(f"{hashlib.sha256(FILES[n]).hexdigest()}  {n}\n".encode() for n in ("a.onnx", "b.onnx"))
    assert parse_sums(found) == {name: sha256(content) for name, content in FILES.items()}
    assert write_sums({}) == b"" and parse_sums(b"") == {}


@pytest.mark.parametrize("spoilt", [b"junk\n", b"0" * 63 + b"  a\n", b"0" * 64 + b" a\n", b"\xff\xfe\x00", b""])
def test_a_line_that_is_no_checksum_is_quoted(spoilt: bytes) -> None:
    whole = write_sums(FILES)
    with pytest.raises(ValueError, match="a line that makes no sense"):
        parse_sums(whole + (spoilt or whole))

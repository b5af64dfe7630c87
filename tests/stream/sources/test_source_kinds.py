"""Every list of sources is made from the records of their files and of other packages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.errors import SourceError, UsageError
from edgerecon.stream.sources import SourceKind, open_source
from edgerecon.stream.sources.kind import is_live, kind_of_file, source_kinds
from edgerecon.stream.sources.memory import Cine
from tests.support.plug_in import plug_in

FRAMES = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
THEIRS = SourceKind(
    name="MyFormat",
    title="a MyFormat recording",
    magic=(b"MYFMT",),
    endings=(".myf",),
    schemes=("myprobe",),
    options=("gain",),
    open=lambda place, query: Cine(FRAMES * np.uint8(query.get("gain", "1")), period_s=0.02),
)


@pytest.fixture
def plugged_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    plug_in(monkeypatch, "edgerecon.sources", THEIRS)
    source_kinds.cache_clear()
    yield
    source_kinds.cache_clear()


@pytest.mark.usefixtures("plugged_in")
@pytest.mark.parametrize(("name", "content"), [("a.bin", b"MYFMT and more"), ("a.MYF", b"anything")])
def test_a_file_of_another_package_opens(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with closing(open_source(f"{tmp_path / name}?gain=2")) as source:
        images = [capture.image for capture in source.frames()]
    np.testing.assert_array_equal(images, 2 * FRAMES)
    with pytest.raises(UsageError, match="a MyFormat recording has no option 'range': it has gain"):
        open_source(f"{tmp_path / name}?range=2")


@pytest.mark.usefixtures("plugged_in")
def test_an_address_of_another_package_opens() -> None:
    with closing(open_source("myprobe://bed-3?gain=3")) as source:
        np.testing.assert_array_equal([capture.image for capture in source.frames()], 3 * FRAMES)
    assert is_live("myprobe://bed-3") and not is_live("sample") and not is_live("file:///a.npy")


@pytest.mark.usefixtures("plugged_in")
def test_messages_name_the_kinds_of_other_packages(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"give a file \(DICOM, .*MyFormat.* or 'sample'\)"):
        open_source(str(tmp_path / "absent.npy"))
    with pytest.raises(
        SourceError, match="no source is known by ftp://: give a file, or one of clarius://, igtl://, myprobe://"
    ):
        open_source("ftp://example.org")


def test_kinds_share_no_name_ending_word_or_scheme() -> None:
    kinds = source_kinds().values()
    for field in ("endings", "words", "schemes"):
        found = [one for kind in kinds for one in getattr(kind, field)]
        assert len(found) == len(set(found)), field
    assert sum(kind.fallback for kind in kinds) == 1, "one kind takes what no other recognises"
    assert all({text.partition("://")[0] for text in kind.addresses} == set(kind.schemes) for kind in kinds)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.tif", b"II*\0" + bytes(124) + b"DICM", "DICOM"),
        ("a.dcm", b"\x89PNG\r\n", "images or a folder of them"),
        ("a.avi", b"RIFF\0\0\0\0AVI LIST", "video"),
        ("a.avi", b"RIFF\0\0\0\0WEBPVP8 ", "images or a folder of them"),
        ("a.bin", b"\xff\xd8\xff\xe0", "images or a folder of them"),
        ("a.mjpg", b"\xff\xd8\xff\xe0", "video"),
        ("a.mhd", b"ObjectType = Image", "MetaImage"),
        ("a.unknown", b"something", "video"),
    ],
)
def test_the_content_decides_before_the_ending(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert kind_of_file(tmp_path / name).name == expected


def test_looking_up_a_kind_loads_no_heavy_library() -> None:
    heavy = ("av", "pydicom", "h5py", "PIL", "pyuff_ustb", "pyigtl")
    code = (
        "import sys; from edgerecon.stream.sources.kind import source_kinds; source_kinds();"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert found.stdout.strip() == "[]"

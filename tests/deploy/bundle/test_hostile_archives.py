"""Archives that are hostile, damaged or cut off: refused in one line, and nothing is written outside."""

from __future__ import annotations

import gzip
import io
import json
import os
import posixpath
import re
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from edgerecon.core.checksums import SUMS
from edgerecon.deploy.bundle import archive as archive_module
from edgerecon.deploy.bundle.archive import BundleError, unpack, verify
from edgerecon.deploy.bundle.install import install

Entry = tuple[tarfile.TarInfo, bytes]


# Archives that are hostile, damaged, or none.


def _file(name: str, content: bytes, **changes: object) -> Entry:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in changes.items():
        setattr(info, key, value)
    return info, content


def _special(name: str, kind: bytes, target: str = "") -> Entry:
    return _file(name, b"", type=kind, linkname=target)


def _sums(files: dict[str, bytes]) -> bytes:
    return "".join(f"{sha256(content).hexdigest()}  {name}\n" for name, content in files.items()).encode()


def _tar(entries: list[Entry], format: int = tarfile.USTAR_FORMAT) -> bytes:
    """What a stranger's tar would write; headers claim what they like."""
    packed = b""
    for info, content in entries:
        packed += info.tobuf(format, "utf-8", "surrogateescape") + content + bytes(-len(content) % 512)
    packed += bytes(1024)
    return packed + bytes(-len(packed) % tarfile.RECORDSIZE)


def _packed(content: bytes) -> bytes:
    """Compressed as little as gzip can: these tests are about what is inside."""
    return gzip.compress(content, 1)


def _whole(files: dict[str, bytes], *more: Entry, listed: dict[str, bytes] | None = None) -> list[Entry]:
    """A bundle of files with true sums, then other entries. listed: more lines of the sums."""
    sums = _sums({**files, **(listed or {})})
    return [*(_file(name, content) for name, content in files.items()), _file(SUMS, sums), *more]


EVIL = b"evil"
UNSAFE = [
    "/etc/evil",
    "../evil",
    "a/../../evil",
    "./evil",
    "a//evil",
    "a/./evil",
    ".evil",
    "a/.evil",
    "..",
    ".",
    "/",
    "a/",
    "a\\b",
    "a\nb",
    "a b",
    "a\tb",
    "~evil",
    "-evil",
    "C:evil",
    "évil",
    "$evil",
    "a/b/c/d/e",
]
SPECIAL = {
    "symbolic link": _special("evil", tarfile.SYMTYPE, "/etc/passwd"),
    "hard link": _special("evil", tarfile.LNKTYPE, "tiny.onnx"),
    "FIFO": _special("evil", tarfile.FIFOTYPE),
    "folder": _special("evil", tarfile.DIRTYPE),
    "device": _special("evil", tarfile.CHRTYPE),
    "a device": _special("evil", tarfile.BLKTYPE),
    "kind b'7'": _file("evil", EVIL, type=tarfile.CONTTYPE),
    "kind b'S'": _file("evil", EVIL, type=tarfile.GNUTYPE_SPARSE),
    "kind b'L'": _file("././@LongLink", b"a" * 120, type=tarfile.GNUTYPE_LONGNAME),
    "kind b'x'": _file("evil", b"19 path=../../evil\n", type=tarfile.XHDTYPE),
    "kind b'g'": _file("evil", b"19 path=../../evil\n", type=tarfile.XGLTYPE),
    "kind b'Z'": _file("evil", EVIL, type=b"Z"),
}


def _refused(content: bytes, tmp_path: Path, message: str) -> None:
    """The archive is refused with one line, before the prefix is even made."""
    path = tmp_path / "hostile.tar.gz"
    path.write_bytes(content)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BundleError, match=message) as caught:
        install(path, tmp_path / "p")
    assert "\n" not in str(caught.value) and str(caught.value).isprintable()
    assert sorted(tmp_path.rglob("*")) == before


def test_the_builder_of_hostile_archives_builds_good_ones(files: dict[str, bytes], tmp_path: Path) -> None:
    """Else every refusal below would prove nothing."""
    path = tmp_path / "b.tar.gz"
    path.write_bytes(_packed(_tar(_whole(files))))
    assert install(path, tmp_path / "p").path.is_dir()


@pytest.mark.parametrize("name", UNSAFE)
@pytest.mark.parametrize("listed", [True, False])
def test_unsafe_names(files: dict[str, bytes], tmp_path: Path, name: str, listed: bool) -> None:
    entries = _whole(files, _file(name, EVIL), listed={name: EVIL} if listed else None)
    kind = "a folder" if name in ("/", "a/") else "unsafe name"  # tar takes a trailing slash for a folder
    _refused(_packed(_tar(entries)), tmp_path, f"{kind}|unsafe name")


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("first", [True, False])
def test_what_is_no_plain_file(files: dict[str, bytes], tmp_path: Path, kind: str, first: bool) -> None:
    entries = _whole(files, listed={"evil": EVIL})
    entries.insert(0 if first else len(entries), SPECIAL[kind])
    _refused(_packed(_tar(entries)), tmp_path, f"refused: the bundle holds .*{re.escape(kind)}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: _whole(f, _file("evil", EVIL)), "holds 'evil', which its SHA256SUMS does not list"),
        (lambda f: _whole(f, listed={"evil": EVIL}), "lacks 'evil', which its SHA256SUMS lists"),
        (lambda f: _whole(f, _file("tiny.onnx", EVIL)), "'tiny.onnx' twice"),
        (lambda f: _whole(f, _file("tiny.onnx/evil", EVIL), listed={"tiny.onnx/evil": EVIL}), "both as a file and"),
        (lambda f: _whole(f, _file("licences", EVIL), listed={"licences": EVIL}), "both as a file and"),
        (lambda f: _whole(f)[:-1], "no bundle of edgerecon: it holds no SHA256SUMS"),
        (lambda f: _whole({k: v for k, v in f.items() if k != "config.json"}), "holds no config.json"),
        (lambda f: _whole({k: v for k, v in f.items() if k != "tiny.onnx"}), "lacks 'tiny.onnx', which its config"),
        (
            lambda f: _whole({k: v for k, v in f.items() if k != "self_test.npz"}),
            "lacks 'self_test.npz', which its config",
        ),
        (lambda f: [*_whole(f)[:-1], _file(SUMS, _sums({**f, "tiny.onnx": EVIL}))], "'tiny.onnx' .* does not match"),
        (lambda f: [*_whole(f)[:-1], _file(SUMS, _sums(f) + b"junk\n")], "makes no sense: 'junk'"),
        (lambda f: [*_whole(f)[:-1], _file(SUMS, _sums(f) * 2)], "makes no sense"),
        (lambda f: [*_whole(f)[:-1], _file(SUMS, bytes(2 << 20))], "SHA256SUMS is too large"),
        (lambda f: _whole({**f, "config.json": b"{}"}), "not one that this edgerecon reads: name: it is absent"),
        (lambda f: _whole({**f, "config.json": b"no json"}), "not one that this edgerecon reads"),
        (lambda f: _whole({**f, **{f"f{n}": b"" for n in range(256)}}), "more than 256 files"),
        (lambda f: [_file("evil", b"", size=600 << 20)], "claims 600 MB"),
        (lambda f: [_file("evil", b"", size=-512)], "header|damaged|claims"),
        (lambda f: [], "holds no SHA256SUMS"),
    ],
)
def test_other_hostile_archives(
    files: dict[str, bytes], tmp_path: Path, message: str, change: Callable[[dict[str, bytes]], list[Entry]]
) -> None:
    format = tarfile.GNU_FORMAT if message.startswith("header") else tarfile.USTAR_FORMAT  # negative sizes need it
    _refused(_packed(_tar(change(files), format)), tmp_path, message)


@pytest.mark.parametrize("key", ["name", "version", "model", "engine", "frames", "device"])
@pytest.mark.parametrize("value", ["../evil", "/evil", "a/b", "", ".evil", "a\n", "x" * 200])
def test_names_in_the_configuration(files: dict[str, bytes], tmp_path: Path, key: str, value: str) -> None:
    config = {**json.loads(files["config.json"]), key: value}
    _refused(_packed(_tar(_whole({**files, "config.json": json.dumps(config).encode()}))), tmp_path, key)


def test_a_bomb(files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = bytes(2 << 20)
    monkeypatch.setattr(archive_module, "MAX_TOTAL", sum(map(len, files.values())) + 3 * len(zeros) // 2)
    _refused(_packed(_tar(_whole({**files, "a": zeros, "b": zeros}))), tmp_path, r"too large \(limit [0-9]+ MB")
    _refused(_packed(_tar(_whole(files)) + zeros), tmp_path, "data after its end")


def test_what_is_no_tar_gz(good: Path, files: dict[str, bytes], tmp_path: Path) -> None:
    plain = _tar(_whole(files))
    import lzma

    for content in (
        b"",
        b"hello",
        plain,
        lzma.compress(plain),
        _packed(b"hello"),
        _packed(b"x" * 5000),
        _packed(b""),
    ):
        _refused(content, tmp_path, "not a .tar.gz|truncated|not a tar archive")
    whole = good.read_bytes()
    _refused(whole + b"more", tmp_path, "not a .tar.gz file, or it is damaged")
    _refused(whole + whole, tmp_path, "data after its end")
    _refused(_packed(plain + b"more"), tmp_path, "data after its end")
    _refused(_packed(plain[:-512] + b"x" * 512), tmp_path, "data after its end|not a tar")
    for bundle_path in (tmp_path / "absent", tmp_path, Path("a\0b")):
        with pytest.raises(BundleError, match="there is no bundle|cannot read"):
            install(bundle_path, tmp_path / "p")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(BundleError, match="there is no bundle"):
        install(tmp_path / "fifo", tmp_path / "p")


@pytest.mark.parametrize("part", [0.0001, 0.01, 0.3, 0.5, 0.9, 0.99, 0.9999])
def test_a_truncated_archive(good: Path, tmp_path: Path, part: float) -> None:
    whole = good.read_bytes()
    _refused(whole[: int(len(whole) * part)], tmp_path, "truncated|damaged")
    tar = gzip.decompress(whole)
    _refused(_packed(tar[: int(len(tar) * part)]), tmp_path, "truncated|not a tar")


def test_an_archive_that_changes_while_it_is_read(files: dict[str, bytes], tmp_path: Path) -> None:
    contents = verify(io.BytesIO(_packed(_tar(_whole(files)))))
    other = io.BytesIO(_packed(_tar(_whole({**files, "tiny.onnx": EVIL}))))
    with pytest.raises(BundleError, match="changed while it was read"):
        unpack(other, tmp_path, contents.sums)


# Properties.

_SMALL = {"config.json": b"{}", "tiny.onnx": b"model" * 50}


@given(name=st.one_of(st.text(min_size=1, max_size=40), st.from_regex(r"[./\\a~-]{1,12}", fullmatch=True)))
@settings(max_examples=300, deadline=None)
def test_any_name_is_refused_or_stays_inside(name: str) -> None:
    assume(name not in _SMALL and name != SUMS)
    try:
        packed = _tar(_whole(_SMALL, _file(name, EVIL), listed={name: EVIL}))
    except (ValueError, UnicodeError):
        assume(False)
    try:
        contents = verify(io.BytesIO(_packed(packed)))
    except BundleError:
        return
    for accepted in contents.sums:
        assert posixpath.normpath(accepted) == accepted and not accepted.startswith(("/", ".", "-", "~"))
        assert accepted.isascii() and accepted.isprintable() and "\\" not in accepted and "/." not in accepted


@given(
    names=st.sets(
        st.from_regex(r"[a-z0-9][a-zA-Z0-9._-]{0,20}(/[a-z0-9][a-z0-9._]{0,20})?", fullmatch=True), max_size=5
    )
)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_ordinary_names_are_accepted(names: set[str]) -> None:
    assume(not any(one != other and other.startswith(f"{one}/") for one in {*names, *_SMALL} for other in names))
    files = {**dict.fromkeys(names, EVIL), **_SMALL}
    contents = verify(io.BytesIO(_packed(_tar(_whole(files)))))
    assert contents.sums == {name: sha256(content).hexdigest() for name, content in files.items()}
    assert contents.total == sum(map(len, files.values())) + len(_sums(files))


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_changed_byte_is_refused_or_changes_nothing(data: st.DataObject) -> None:
    tar = bytearray(_tar(_whole(_SMALL)))
    original = verify(io.BytesIO(_packed(bytes(tar))))
    compressed = bytearray(gzip.compress(bytes(tar), mtime=0))
    target = data.draw(st.sampled_from([tar, compressed]))
    target[data.draw(st.integers(0, len(target) - 1))] ^= data.draw(st.integers(1, 255))
    mutated = bytes(compressed) if target is compressed else _packed(bytes(tar))
    try:
        found = verify(io.BytesIO(mutated))
    except BundleError:
        return
    assert found == original  # a time stamp, an owner, a mode: nothing that is used

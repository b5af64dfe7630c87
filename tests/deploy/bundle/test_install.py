"""Installing: hostile and damaged archives, faults at every step, roll-back, versions side by side."""

from __future__ import annotations

import errno
import fcntl
import gzip
import io
import json
import os
import posixpath
import re
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from edgerecon.core.checksums import SUMS
from edgerecon.core.errors import GateError
from edgerecon.core.shipped import resource_dir
from edgerecon.deploy.bundle import archive as archive_module
from edgerecon.deploy.bundle import bundle as bundle_module
from edgerecon.deploy.bundle import install as install_module
from edgerecon.deploy.bundle.acceptance import pack_frames, read_frames, self_test
from edgerecon.deploy.bundle.archive import BundleError, unpack, verify, write_archive
from edgerecon.deploy.bundle.bundle import bundle
from edgerecon.deploy.bundle.install import default_prefix, install
from edgerecon.hardware.device import load_device
from edgerecon.workshop.recipe import Recipe

RECIPE = Recipe.model_validate(
    {
        "model": {"name": "tiny", "task": "despeckle"},
        "data": {
            "simulate": "edgerecon simulate t.h5 --samples 4",
            "file": "t.h5",
            "inputs": ["pw31"],
            "target": "clean",
        },
        "train": {"steps": 10},
    }
)
Entry = tuple[tarfile.TarInfo, bytes]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    shutil.copy(resource_dir("export") / "compact-despeckle.onnx", folder / "tiny.onnx")
    out = folder / "tiny.tar.gz"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle_module, "lock", lambda extras, target: "")
        bundle(RECIPE, folder, load_device("x86-avx2"), out, backend="onnxruntime", threads=1)
    return out


@pytest.fixture(scope="module")
def files(good: Path) -> dict[str, bytes]:
    """Name → content of everything in the good bundle but its sums and the long licences."""
    with tarfile.open(good) as archive:
        contents = {
            entry.name.partition("/")[2]: archive.extractfile(entry).read()  # type: ignore[union-attr]
            for entry in archive
        }
    return {name: content for name, content in contents.items() if name not in (SUMS, "licences/THIRD_PARTY.txt")}


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The self-test without a new interpreter, for tests that are about something else."""
    monkeypatch.setattr(install_module, "_tested", lambda folder, contents: self_test(folder).max_error)


@pytest.fixture
def newer(files: dict[str, bytes], tmp_path: Path) -> Path:
    """Another bundle that works."""
    path = tmp_path / "newer.tar.gz"
    write_archive(path, {**files, "README.md": b"newer"})
    return path


@pytest.fixture
def failing(files: dict[str, bytes], tmp_path: Path) -> Path:
    """A sound archive whose engine does not do what its frames expect."""
    (tmp_path / "right.npz").write_bytes(files["self_test.npz"])
    pairs = [
        ((frame * 255).round().astype(np.uint8), expected) for frame, expected in read_frames(tmp_path / "right.npz")
    ]
    pairs[1][1][3, 4] += 0.01
    pack_frames(tmp_path / "wrong.npz", pairs)
    path = tmp_path / "failing.tar.gz"
    write_archive(path, {**files, "self_test.npz": (tmp_path / "wrong.npz").read_bytes()})
    return path


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# A whole installation, the self-test in a process of its own.


def test_an_installation(good: Path, tmp_path: Path) -> None:
    umask = os.umask(0o077)
    try:
        result = install(good, tmp_path / "p" / "q")
    finally:
        os.umask(umask)
    prefix = tmp_path / "p" / "q"
    assert result.path.parent == prefix / "versions" and result.previous is None
    assert result.max_error <= result.tolerance == 1e-5
    assert (prefix / "current").resolve() == result.path
    assert os.readlink(prefix / "current") == f"versions/{result.path.name}"  # the prefix may be moved
    assert re.fullmatch(r"tiny-[0-9.]+-[0-9a-f]{12}", result.path.name)
    checked = subprocess.run(["sha256sum", "--check", "--strict", SUMS], cwd=prefix / "current", capture_output=True)
    assert checked.returncode == 0
    for path in [result.path, *result.path.rglob("*")]:
        wanted = 0o755 if path.is_dir() or path.name == "install.sh" else 0o644
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path
    assert _names(prefix) == [".lock", "current", "versions"] and _names(prefix / "versions") == [result.path.name]
    assert self_test(prefix / "current").frames == 2


def test_a_failed_self_test_rolls_back(good: Path, failing: Path, tmp_path: Path) -> None:
    prefix = tmp_path / "p"
    first = install(good, prefix)
    with pytest.raises(GateError, match="self-test failed and nothing was changed: .* differs from .* by 0.01 on"):
        install(failing, prefix)
    assert (prefix / "current").resolve() == first.path and self_test(prefix / "current").frames == 2
    assert _names(prefix) == [".lock", "current", "versions"] and _names(prefix / "versions") == [first.path.name]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("kill -SEGV $$", "the runtime crashed .Segmentation fault"),
        ("exec sleep 60", "did not end within"),
        ("echo oops", "it said nothing"),
        ("echo '[]'", "it said nothing"),
        ("echo one >&2; echo two >&2; exit 3", "nothing was changed: two$"),
    ],
)
def test_a_self_test_that_dies(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    if "sleep" in script:  # the others end by themselves, however busy the machine is
        monkeypatch.setattr(install_module, "SELF_TEST_TIMEOUT_S", 1)
    with pytest.raises(GateError, match=message):
        install(good, tmp_path / "p")
    assert _names(tmp_path / "p") == [".lock", "versions"] and _names(tmp_path / "p" / "versions") == []


WAITS = """
import os, sys, time
from pathlib import Path
place = Path(sys.argv[1])
python = place / "python"
python.write_text(f"#!/bin/sh\\necho $$ > {place}/child.part; mv {place}/child.part {place}/child; exec sleep 600\\n")
python.chmod(0o755)
sys.executable = str(python)
from edgerecon.deploy.bundle.install import install
install(Path(sys.argv[2]), place / "p")
"""


def _wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def _is_alive(process: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the parent's death is told on Linux")
def test_a_killed_installation_ends_its_self_test(good: Path, tmp_path: Path) -> None:
    installer = subprocess.Popen([sys.executable, "-c", WAITS, str(tmp_path), str(good)])
    try:
        _wait_until(lambda: (tmp_path / "child").exists())
        child = int((tmp_path / "child").read_text())
        assert _is_alive(child)
    finally:
        installer.kill()
        installer.wait()
    _wait_until(lambda: not _is_alive(child))
    assert not (tmp_path / "p" / "current").exists()


def test_the_self_test_has_a_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel ends it, should the installer neither do so nor die."""
    monkeypatch.setattr(install_module, "SELF_TEST_TIMEOUT_S", 0)
    monkeypatch.setattr(install_module, "_GRACE_S", 1)
    done = subprocess.run(["sleep", "600"], preexec_fn=install_module._end_with_parent(), check=False)
    assert done.returncode == -signal.SIGALRM


@pytest.mark.parametrize("again", [False, True], ids=["first", "again"])
def test_what_changes_during_the_self_test_is_not_switched_to(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    """Also where the version is there already."""
    monkeypatch.setattr(install_module, "_self_tested", lambda folder: 0.0)
    if again:
        install(good, tmp_path / "p")
        (tmp_path / "p" / "current").unlink()

    def swap(folder: Path) -> float:
        (folder / "tiny.onnx").write_bytes(b"another model")
        return 0.0

    monkeypatch.setattr(install_module, "_self_tested", swap)
    with pytest.raises(BundleError, match="changed during the self-test"):
        install(good, tmp_path / "p")
    assert not (tmp_path / "p" / "current").exists()


def test_without_torch_and_onnx(good: Path, tmp_path: Path) -> None:
    """On a device they are absent."""
    script = (
        "import sys; absent = ('torch', 'onnx', 'h5py', 'lightning_fabric', 'skimage');"
        "sys.modules.update(dict.fromkeys(absent));"
        "from pathlib import Path; from edgerecon.deploy.bundle import acceptance, install;"
        "install._tested = lambda folder, contents: acceptance.self_test(folder).max_error;"
        "print(install.install(Path(sys.argv[1]), Path(sys.argv[2])).max_error);"
        "assert not any(name.startswith('edgerecon.workshop.') for name in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(good), str(tmp_path / "p")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) <= 1e-5 and (tmp_path / "p" / "current" / "tiny.onnx").is_file()


# Versions side by side.


@pytest.mark.usefixtures("in_process")
def test_side_by_side_and_back(good: Path, newer: Path, tmp_path: Path) -> None:
    prefix = tmp_path / "p"
    first = install(good, prefix)
    kept = {path: path.stat().st_mtime_ns for path in first.path.rglob("*")}
    second = install(newer, prefix)
    assert second.previous == first.path != second.path == (prefix / "current").resolve()
    assert (prefix / "current" / "README.md").read_bytes() == b"newer"
    back = install(good, prefix)
    assert (back.path, back.previous) == (first.path, second.path) and (prefix / "current").resolve() == first.path
    assert _names(prefix / "versions") == sorted([first.path.name, second.path.name])
    assert {path: path.stat().st_mtime_ns for path in first.path.rglob("*")} == kept  # nothing was written again


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("damage", ["change", "remove", "add", "link"])
def test_a_damaged_version_is_installed_anew(good: Path, tmp_path: Path, damage: str) -> None:
    prefix = tmp_path / "p"
    first = install(good, prefix)
    model = first.path / "tiny.onnx"
    if damage == "change":
        model.write_bytes(b"x" * model.stat().st_size)
    elif damage == "add":
        (first.path / "more").touch()
    else:
        model.unlink()
        if damage == "link":
            model.symlink_to(resource_dir("export") / "compact-despeckle.onnx")
    second = install(good, prefix)
    assert second.path.name == f"{first.path.name}.2" and (prefix / "current").resolve() == second.path
    assert self_test(prefix / "current").max_error <= 1e-5


@pytest.mark.usefixtures("in_process")
def test_what_a_killed_installation_left_is_swept(good: Path, tmp_path: Path) -> None:
    left = tmp_path / "p" / "versions" / ".partial-old"
    left.mkdir(parents=True)
    (left / "tiny.onnx").write_bytes(b"half")
    (tmp_path / "p" / ".current.partial").symlink_to("versions/absent")
    (tmp_path / "p" / "current").symlink_to("versions/absent")
    result = install(good, tmp_path / "p")
    assert result.previous is None and _names(tmp_path / "p") == [".lock", "current", "versions"]
    assert _names(tmp_path / "p" / "versions") == [result.path.name]


# Faults.


def _raise(error: BaseException) -> Callable[..., None]:
    def fault(*_: object, **__: object) -> None:
        raise error

    return fault


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("error", [FULL, OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("step", ["os.fchmod", "os.fsync", "os.rename", "os.symlink", "os.replace"])
def test_a_fault_at_any_step_changes_nothing(
    good: Path, newer: Path, tmp_path: Path, step: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = tmp_path / "p"
    first = install(good, prefix)
    with monkeypatch.context() as patch:
        patch.setattr(step, _raise(error))
        expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else BundleError
        with pytest.raises(expected) as caught:
            install(newer, prefix)
    if isinstance(error, OSError):
        words = "no space left" if error is FULL else "Input/output error"
        assert words in str(caught.value) and "--prefix" in str(caught.value) and "\n" not in str(caught.value)
    assert (prefix / "current").resolve() == first.path
    assert _names(prefix) == [".lock", "current", "versions"] and _names(prefix / "versions") == [first.path.name]
    assert install(newer, prefix).previous == first.path


@pytest.mark.usefixtures("in_process")
def test_a_fault_after_the_switch_keeps_what_is_current(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = install_module.sync_folder

    def fault(folder: Path) -> None:
        if folder == tmp_path / "p":
            raise OSError(errno.EIO, "Input/output error")
        real(folder)

    monkeypatch.setattr(install_module, "sync_folder", fault)
    with pytest.raises(BundleError, match="Input/output"):
        install(good, tmp_path / "p")
    assert self_test(tmp_path / "p" / "current").max_error <= 1e-5


def test_a_full_disk_is_seen_before_anything_is_unpacked(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.disk_usage
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real(path)._replace(free=1 << 20))
    monkeypatch.setattr(install_module, "unpack", _raise(AssertionError()))
    with pytest.raises(BundleError, match=r"no space left .*: free \d\d MB there, or choose another --prefix"):
        install(good, tmp_path / "p")


def test_prefixes_that_cannot_be_used(good: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BundleError, match="cannot install into .*file/p: .*--prefix"):
        install(good, tmp_path / "file" / "p")
    (tmp_path / "p" / "current").mkdir(parents=True)
    with pytest.raises(BundleError, match="not a link of ours"):
        install(good, tmp_path / "p")
    assert _names(tmp_path / "p" / "versions") == []
    (tmp_path / "q").mkdir()
    (tmp_path / "q" / ".lock").symlink_to(tmp_path / "file")
    with pytest.raises(BundleError, match="cannot install"):
        install(good, tmp_path / "q")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_prefix(good: Path, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir(mode=0o500)
    with pytest.raises(BundleError, match="Permission denied.*--prefix"):
        install(good, tmp_path / "p")


def test_one_installation_at_a_time(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    testing, go_on = threading.Event(), threading.Event()
    results = []

    def slow(folder: Path, contents: object) -> float:
        testing.set()
        assert go_on.wait(30)
        return 0.0

    monkeypatch.setattr(install_module, "_tested", slow)
    first = threading.Thread(target=lambda: results.append(install(good, tmp_path / "p")))
    first.start()
    try:
        assert testing.wait(30)
        with pytest.raises(BundleError, match="another installation into .* is running"):
            install(good, tmp_path / "p")
    finally:
        go_on.set()
        first.join(30)
    assert (tmp_path / "p" / "current").resolve() == results[0].path
    with (tmp_path / "p" / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it was let go


def test_the_default_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_prefix() == Path("/opt/edgerecon")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("XDG_DATA_HOME", "relative")  # the specification says to ignore it
    assert default_prefix() == Path("/home/someone/.local/share/edgerecon")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_prefix() == Path("/data/edgerecon")


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
    path.write_bytes(gzip.compress(_tar(_whole(files))))
    assert install(path, tmp_path / "p").path.is_dir()


@pytest.mark.parametrize("name", UNSAFE)
@pytest.mark.parametrize("listed", [True, False])
def test_unsafe_names(files: dict[str, bytes], tmp_path: Path, name: str, listed: bool) -> None:
    entries = _whole(files, _file(name, EVIL), listed={name: EVIL} if listed else None)
    kind = "a folder" if name in ("/", "a/") else "unsafe name"  # tar takes a trailing slash for a folder
    _refused(gzip.compress(_tar(entries)), tmp_path, f"{kind}|unsafe name")


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("first", [True, False])
def test_what_is_no_plain_file(files: dict[str, bytes], tmp_path: Path, kind: str, first: bool) -> None:
    entries = _whole(files, listed={"evil": EVIL})
    entries.insert(0 if first else len(entries), SPECIAL[kind])
    _refused(gzip.compress(_tar(entries)), tmp_path, f"refused: the bundle holds .*{re.escape(kind)}")


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
    _refused(gzip.compress(_tar(change(files), format)), tmp_path, message)


@pytest.mark.parametrize("key", ["name", "version", "model", "engine", "frames", "device"])
@pytest.mark.parametrize("value", ["../evil", "/evil", "a/b", "", ".evil", "a\n", "x" * 200])
def test_names_in_the_configuration(files: dict[str, bytes], tmp_path: Path, key: str, value: str) -> None:
    config = {**json.loads(files["config.json"]), key: value}
    _refused(gzip.compress(_tar(_whole({**files, "config.json": json.dumps(config).encode()}))), tmp_path, key)


def test_a_bomb(files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_module, "MAX_TOTAL", 3 << 20)
    zeros = bytes(2 << 20)
    _refused(gzip.compress(_tar(_whole({**files, "a": zeros, "b": zeros}))), tmp_path, r"too large \(limit 3 MB")
    _refused(gzip.compress(_tar(_whole(files)) + zeros), tmp_path, "data after its end")


def test_what_is_no_tar_gz(good: Path, files: dict[str, bytes], tmp_path: Path) -> None:
    plain = _tar(_whole(files))
    import lzma

    for content in (
        b"",
        b"hello",
        plain,
        lzma.compress(plain),
        gzip.compress(b"hello"),
        gzip.compress(b"x" * 5000),
        gzip.compress(b""),
    ):
        _refused(content, tmp_path, "not a .tar.gz|truncated|not a tar archive")
    whole = good.read_bytes()
    _refused(whole + b"more", tmp_path, "not a .tar.gz file, or it is damaged")
    _refused(whole + whole, tmp_path, "data after its end")
    _refused(gzip.compress(plain + b"more"), tmp_path, "data after its end")
    _refused(gzip.compress(plain[:-512] + b"x" * 512), tmp_path, "data after its end|not a tar")
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
    _refused(gzip.compress(tar[: int(len(tar) * part)]), tmp_path, "truncated|not a tar")


def test_an_archive_that_changes_while_it_is_read(files: dict[str, bytes], tmp_path: Path) -> None:
    contents = verify(io.BytesIO(gzip.compress(_tar(_whole(files)))))
    other = io.BytesIO(gzip.compress(_tar(_whole({**files, "tiny.onnx": EVIL}))))
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
        contents = verify(io.BytesIO(gzip.compress(packed)))
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
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_ordinary_names_are_accepted(names: set[str]) -> None:
    assume(not any(one != other and other.startswith(f"{one}/") for one in {*names, *_SMALL} for other in names))
    files = {**dict.fromkeys(names, EVIL), **_SMALL}
    contents = verify(io.BytesIO(gzip.compress(_tar(_whole(files)))))
    assert contents.sums == {name: sha256(content).hexdigest() for name, content in files.items()}
    assert contents.total == sum(map(len, files.values())) + len(_sums(files))


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_a_changed_byte_is_refused_or_changes_nothing(data: st.DataObject) -> None:
    tar = bytearray(_tar(_whole(_SMALL)))
    original = verify(io.BytesIO(gzip.compress(bytes(tar))))
    compressed = bytearray(gzip.compress(bytes(tar), mtime=0))
    target = data.draw(st.sampled_from([tar, compressed]))
    target[data.draw(st.integers(0, len(target) - 1))] ^= data.draw(st.integers(1, 255))
    mutated = bytes(compressed) if target is compressed else gzip.compress(bytes(tar))
    try:
        found = verify(io.BytesIO(mutated))
    except BundleError:
        return
    assert found == original  # a time stamp, an owner, a mode: nothing that is used

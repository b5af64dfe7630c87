"""Installing: hostile and damaged archives, faults at every step, roll-back, versions side by side."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgerecon.core.checksums import SUMS
from edgerecon.core.errors import GateError
from edgerecon.core.shipped import resource_dir
from edgerecon.deploy.bundle import install as install_module
from edgerecon.deploy.bundle.acceptance import self_test
from edgerecon.deploy.bundle.archive import BundleError
from edgerecon.deploy.bundle.install import default_prefix, install


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
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", SUMS], cwd=prefix / "current", capture_output=True, timeout=120
    )
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
        installer.wait(timeout=60)
    _wait_until(lambda: not _is_alive(child))
    assert not (tmp_path / "p" / "current").exists()


def test_the_self_test_has_a_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel ends it, should the installer neither do so nor die."""
    monkeypatch.setattr(install_module, "SELF_TEST_TIMEOUT_S", 0)
    monkeypatch.setattr(install_module, "_GRACE_S", 1)
    done = subprocess.run(["sleep", "600"], preexec_fn=install_module._end_with_parent(), check=False, timeout=120)
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
        [sys.executable, "-c", script, str(good), str(tmp_path / "p")], capture_output=True, text=True, timeout=120
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

"""Install a bundle beside the previous one, test it on this device, and only then switch to it.

    prefix/versions/<name>-<version>-<hash>/    one folder a bundle, never changed after it was written
    prefix/current -> versions/…                a symbolic link, replaced by one rename

Whatever fails, ``current`` stays where it was. To go back, install the older bundle again: it is still there.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edgerecon.core.errors import GateError
from edgerecon.core.files import sync_folder
from edgerecon.core.json import parse
from edgerecon.deploy.bundle.archive import BundleError, Contents, is_intact, unpack, verify
from edgerecon.deploy.bundle.bundle_config import BundleConfig, parse_config

CURRENT = "current"
SELF_TEST_TIMEOUT_S = 1800
"""TensorRT may have to build its engine first, which takes minutes on the small boards."""

_GRACE_S = 10
"""After the time-out, for the installer to end the self-test by itself."""
_PR_SET_PDEATHSIG = 1

_NOT_ON_WINDOWS = "a bundle installs on Linux and macOS: on Windows  pip install edgerecon"
_VERSIONS = "versions"
_PARTIAL = ".partial-"
_MARGIN = 16 << 20


@dataclass(frozen=True)
class InstallResult:
    """What is current now.

    Attributes:
        path: folder of the installed version. previous: of the version that was current before, if any.
        max_error: of the self-test on this device, grey levels in [0, 1]. tolerance: what is allowed.
    """

    path: Path
    previous: Path | None
    max_error: float
    tolerance: float


def default_prefix() -> Path:
    """/opt/edgerecon for root, else the user's data folder (XDG Base Directory Specification)."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/opt/edgerecon")
    data = os.environ.get("XDG_DATA_HOME", "")
    return (Path(data) if os.path.isabs(data) else Path.home() / ".local" / "share") / "edgerecon"


def install(bundle: Path, prefix: Path | None = None) -> InstallResult:
    """Verify, unpack, test and switch to a bundle.

    Raises:
        BundleError: the archive is refused (see ``verify``), the prefix cannot be used (unwritable, full, locked), or
            this is Windows.
        GateError: the self-test failed on this device. The version that was current stays so.
    """
    prefix = Path(os.path.abspath(prefix or default_prefix()))
    with _opened(bundle) as file:
        contents = verify(file)
        config = parse_config(contents.config)
        for name in (config.model, config.frames, config.engine):
            if name is not None and name not in contents.sums:
                raise BundleError(f"refused: the bundle lacks {name!r}, which its configuration names")
        try:
            with _locked(prefix):
                return _install(file, contents, config, prefix)
        except OSError as error:
            raise BundleError(_explained(error, prefix, contents.total)) from None


def _install(file: BinaryIO, contents: Contents, config: BundleConfig, prefix: Path) -> InstallResult:
    versions, current = prefix / _VERSIONS, prefix / CURRENT
    versions.mkdir(exist_ok=True)
    for left in versions.glob(f"{_PARTIAL}*"):  # of an installation that was killed
        shutil.rmtree(left, ignore_errors=True)
    if os.path.lexists(current) and not current.is_symlink():
        raise BundleError(f"{current} is not a link of ours: choose another --prefix, or move it away")
    previous = prefix / os.readlink(current) if current.exists() else None
    home = versions / f"{config.name}-{config.version}-{contents.digest[:12]}"
    if is_intact(home, contents):
        max_error = _tested(home, contents)
        _switch(current, home)
        return InstallResult(home, previous, max_error, config.tolerance)
    if shutil.disk_usage(versions).free < contents.total + _MARGIN:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    made = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=versions))
    try:
        unpack(file, made, contents.sums, contents.top)
        max_error = _tested(made, contents)
        home = _unused(home)
        os.rename(made, home)
        made = home
        sync_folder(versions)
        _switch(current, home)
    except BaseException:  # Ctrl-C too must leave nothing half-written
        if current.resolve() != made.resolve():
            shutil.rmtree(made, ignore_errors=True)
        raise
    return InstallResult(home, previous, max_error, config.tolerance)


def _unused(home: Path) -> Path:
    """The name itself, unless a damaged copy has it: that one may be current, so it is left alone."""
    number, path = 1, home
    while os.path.lexists(path):
        number += 1
        path = home.with_name(f"{home.name}.{number}")
    return path


def _switch(current: Path, home: Path) -> None:
    """Point the link at a version; readers see the old one or the new one, never none."""
    new = current.with_name(f".{CURRENT}.partial")
    new.unlink(missing_ok=True)
    try:
        os.symlink(home.relative_to(current.parent), new)
        os.replace(new, current)
    finally:
        new.unlink(missing_ok=True)
    sync_folder(current.parent)


def _tested(folder: Path, contents: Contents) -> float:
    """Largest error of the self-test; what is in the folder afterwards is what was tested.

    Raises:
        GateError: the self-test failed. BundleError: a file changed meanwhile.
    """
    max_error = _self_tested(folder)
    if not is_intact(folder, contents):
        raise BundleError(f"files in {folder} changed during the self-test, and nothing was changed: install it again")
    return max_error


def _self_tested(folder: Path) -> float:
    """Largest error of the self-test, run in a process of its own that does not outlive this one.

    Raises:
        GateError: it failed, crashed or hung.
    """
    command = [sys.executable, "-m", "edgerecon.deploy.bundle.acceptance", str(folder)]
    root = Path(__file__).resolve().parents[3]  # python -m searches its working folder first: give it our own
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            cwd=root,
            stdin=subprocess.DEVNULL,
            timeout=SELF_TEST_TIMEOUT_S,
            check=False,
            preexec_fn=_end_with_parent(),
        )
    except subprocess.TimeoutExpired:
        raise _refusal(f"it did not end within {SELF_TEST_TIMEOUT_S // 60} minutes") from None
    if done.returncode < 0:
        raise _refusal(f"the runtime crashed ({signal.strsignal(-done.returncode)}): is the bundle for this device?")
    try:
        if done.returncode == 0:
            return float(parse(done.stdout.splitlines()[-1])["max_error"])
    except (ValueError, KeyError, IndexError, TypeError):
        pass
    raise _refusal((done.stderr.strip().splitlines() or ["it said nothing"])[-1])


def _end_with_parent() -> Callable[[], None]:
    """For a child, to run before its program: it is killed when this thread ends, and in any case after the limit.

    The kernel does both (prctl(2), alarm(2)), so that neither outlives an installer that was killed.
    """
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # looked up here: little is allowed between fork and exec
    parent = os.getpid()

    def prepare() -> None:
        if sys.platform == "win32":
            return
        signal.alarm(SELF_TEST_TIMEOUT_S + _GRACE_S)
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before it could be watched
            os.kill(os.getpid(), signal.SIGKILL)

    return prepare


def _refusal(reason: str) -> GateError:
    return GateError(f"the self-test failed and nothing was changed: {reason}")


@contextmanager
def _opened(bundle: Path) -> Iterator[BinaryIO]:
    try:
        if not bundle.is_file():  # opening a FIFO would wait for ever
            raise BundleError(f"there is no bundle {bundle}: give a .tar.gz file made by  edgerecon bundle")
        file = bundle.open("rb")
    except (OSError, ValueError) as error:
        raise BundleError(f"cannot read {bundle}: {getattr(error, 'strerror', None) or error}") from None
    with file:
        yield file


@contextmanager
def _locked(prefix: Path) -> Iterator[None]:
    """One installation at a time in a prefix, which is made when absent; the kernel drops the lock with the process."""
    if sys.platform == "win32":
        raise BundleError(_NOT_ON_WINDOWS)
    import fcntl  # not on every system

    prefix.mkdir(parents=True, exist_ok=True)
    handle = os.open(prefix / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BundleError(f"another installation into {prefix} is running: wait until it is done") from None
        yield
    finally:
        os.close(handle)


def _explained(error: OSError, prefix: Path, needed: int) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = (needed + _MARGIN) // 1_000_000 + 1
        return f"no space left to install into {prefix}: free {free} MB there, or choose another --prefix"
    return f"cannot install into {prefix}: {error.strerror or error}: choose a folder you may write with --prefix"

"""What a target needs at run time, to the version and the hash: requirements that ``pip --require-hashes`` takes.

It is resolved for the target's processor and Python by uv, which evaluates a requirement's conditions for the target;
``pip --platform`` evaluates them for the machine it runs on and so loses, say, ``tomli; python_version < '3.11'``. A
resolved lock is kept in the cache: packing again needs neither uv nor a network.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path

from edgerecon.core.cache import cache_folder
from edgerecon.core.checksums import sha256
from edgerecon.core.errors import EdgereconError, first_line
from edgerecon.core.files import write
from edgerecon.deploy.bundle.packages import OURS, Pin

GLIBC = "manylinux_2_28"
"""Of every system in devices/: Debian 10, Ubuntu 20.04 and later have that C library or a newer one."""

NAME_AT_MOST = 100
_SECONDS = 600
_PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Target:
    """A machine to resolve for: "aarch64" or "x86_64", and a Python such as "3.10"."""

    machine: str
    python: str


def lock(extras: Sequence[str], target: Target) -> str:
    """Everything that edgerecon with these extras requires on a target, without edgerecon itself.

    Args:
        extras: e.g. ("stream", "openvino").

    Raises:
        EdgereconError: it is not in the cache, and uv is absent, reaches no package index or finds no solution.
    """
    wanted = "".join(f"{one}\n" for one in _requirements(extras))
    asked = f"{wanted}{target.machine} {target.python} {GLIBC}"
    kept = cache_folder() / "locks" / f"{sha256(asked.encode())[:24]}.txt"
    try:
        return kept.read_text(encoding="utf-8")
    except OSError:
        text = _resolved(wanted, target)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write(kept, text.encode())
    except (OSError, EdgereconError):  # a cache that cannot be written: resolved anew the next time
        pass
    return text


def pins(text: str) -> list[Pin]:
    """The packages of a lock, by name."""
    joined = text.replace("\\\n", " ")
    found = [(_PIN.match(line), line) for line in joined.splitlines()]
    return [Pin(pin["name"], pin["version"], tuple(_HASH.findall(line))) for pin, line in found if pin]


def _requirements(extras: Sequence[str]) -> list[str]:
    """Our own, with those of the extras; conditions other than the extra's name are left for uv to evaluate."""
    from packaging.requirements import Requirement

    found = []
    for text in distribution(OURS).requires or []:
        one = Requirement(text)
        condition = str(one.marker or "")
        extra = re.search(r"""extra == ['"]([\w-]+)['"]""", condition)
        if extra and extra[1] not in extras:
            continue
        rest = re.sub(r"""\s*(and\s+)?extra == ['"][\w-]+['"]""", "", condition).strip()
        one.marker = None
        found.append(f"{one}; {rest}" if rest else str(one))
    return sorted(found)


def _resolved(wanted: str, target: Target) -> str:
    command = [
        *_uv(),
        "pip",
        "compile",
        "-",
        "--quiet",
        "--no-header",
        "--no-annotate",
        "--generate-hashes",
        "--python-platform",
        f"{target.machine}-{GLIBC}",
        "--python-version",
        target.python,
    ]
    try:
        done = subprocess.run(
            command, input=wanted, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EdgereconError(f"uv does not run: {first_line(error)}") from None
    if done.returncode or not pins(done.stdout):
        said = [line for line in done.stderr.splitlines() if re.search("error|cause|because", line, re.I)]
        reason = (said or done.stderr.splitlines() or ["it said nothing"])[-1].strip()
        raise EdgereconError(
            f"what {target.machine} with Python {target.python} needs cannot be resolved ({reason}): "
            "pack once with a network; the lock is kept"
        )
    return done.stdout


def _uv() -> list[str]:
    if find_spec("uv") is not None:
        return [sys.executable, "-m", "uv"]
    if found := shutil.which("uv"):
        return [found]
    raise EdgereconError("no lock of this target is kept, and uv, which resolves one, is absent: run  pip install uv")


def download(text: str, target: Target, folder: Path) -> list[Path]:
    """Fetch every package of a lock for a target, and what builds those that have no wheel.

    Raises:
        EdgereconError: the package index is out of reach, or lacks one for this processor and Python.
    """
    requirements = folder / "requirements.txt"
    write(requirements, text.encode())
    _pip_download(["--require-hashes", "-r", str(requirements)], target, folder)
    requirements.unlink()
    if any(path.suffix != ".whl" for path in folder.iterdir()):
        _pip_download(BUILDERS, target, folder)
    return sorted(_shortened(path) for path in list(folder.iterdir()))


def _shortened(path: Path) -> Path:
    """A wheel of many platforms under the shortest of them, where its name is longer than an archive takes."""
    if len(path.name) <= NAME_AT_MOST or path.suffix != ".whl":
        return path
    head, _, platforms = path.stem.rpartition("-")
    return path.rename(path.with_name(f"{head}-{min(platforms.split('.'), key=lambda one: (len(one), one))}.whl"))


def _pip_download(wanted: Sequence[str], target: Target, folder: Path) -> None:
    platforms = [f"manylinux_2_{minor}_{target.machine}" for minor in (28, 27, 26, 24, 17)]
    platforms += [f"manylinux2014_{target.machine}"]
    command = [
        *(sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"),
        *(word for platform in platforms for word in ("--platform", platform)),
        *("--python-version", target.python, "--implementation", "cp", "-d", str(folder)),
        *wanted,
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise EdgereconError(
            f"the packages of {target.machine} were not fetched within {_SECONDS} s: pack where the network is faster"
        ) from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        reason = " ".join((said or done.stderr.splitlines() or ["pip said nothing"])[0].split())
        raise EdgereconError(
            f"the packages of {target.machine} with Python {target.python} cannot be fetched: {reason}"
        )


BUILDERS = ("setuptools", "wheel")
"""Build the few packages that are published as source alone."""

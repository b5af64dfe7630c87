"""The lock of a target and the wheel of this edgerecon."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import subprocess
import sys
import zipfile
from email.parser import BytesParser
from importlib.metadata import distribution, files, requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import edgerecon
from edgerecon.core.errors import EdgereconError
from edgerecon.core.shipped import resource_dir
from edgerecon.deploy.bundle import lock as lock_module
from edgerecon.deploy.bundle.bundle import bundle
from edgerecon.deploy.bundle.lock import Target, lock, pins
from edgerecon.deploy.bundle.own_wheel import ROOMS, own_wheel
from edgerecon.deploy.bundle.packed_model import of_recipe
from edgerecon.hardware.device import load_device
from edgerecon.workshop.recipe import load_recipe

ORIN = Target("aarch64", "3.10")
TEXT = f"numpy==2.1.0 \\\n    --hash=sha256:{'ab' * 32} \\\n    --hash=sha256:{'cd' * 32}\ntomli==2.2.1 ; a == 'b'\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(lock_module, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def test_uv_is_asked_for_the_target_and_its_answer_kept(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    asked: list[tuple[list[str], str]] = []

    def run(command: list[str], *, input: str, **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append((command, input))
        return subprocess.CompletedProcess(command, 0, TEXT, "")

    monkeypatch.setattr(lock_module, "_uv", lambda: ["uv"])
    monkeypatch.setattr(lock_module.subprocess, "run", run)
    assert lock(("stream",), ORIN) == lock(("stream",), ORIN) == TEXT
    ((command, wanted),) = asked
    assert command[command.index("--python-platform") + 1] == "aarch64-manylinux_2_28"
    assert command[command.index("--python-version") + 1] == "3.10" and "--generate-hashes" in command
    lines = wanted.splitlines()
    assert 'tomli>=2; python_version < "3.11"' in lines, "the condition is left for the target"
    assert any(line.startswith("av") for line in lines) and not any(
        line.startswith(("openvino", "torch")) for line in lines
    )
    lock(("stream", "openvino"), ORIN)
    lock(("stream",), Target("aarch64", "3.11"))
    assert len(asked) == 3 and "openvino" in asked[1][1] and len(list((cache / "locks").iterdir())) == 3


def test_pins_have_their_hashes() -> None:
    assert [(one.name, one.version, len(one.hashes)) for one in pins(TEXT)] == [
        ("numpy", "2.1.0", 2),
        ("tomli", "2.2.1", 0),
    ]


def test_without_uv_or_a_network_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "find_spec", lambda name: None)
    monkeypatch.setattr(lock_module.shutil, "which", lambda name: None)
    with pytest.raises(EdgereconError, match=r"uv, which resolves one, is absent: run  pip install uv$"):
        lock(("stream",), ORIN)
    said = "  × No solution found\n  error: Request failed after 3 retries\n"
    monkeypatch.setattr(lock_module, "_uv", lambda: ["sh", "-c", f"printf '{said}' >&2; exit 2"])
    with pytest.raises(EdgereconError, match=r"cannot be resolved \(error: Request failed after 3 retries\)") as caught:
        lock(("stream",), ORIN)
    assert "\n" not in str(caught.value)


def test_the_wheel_is_whole_and_the_same_each_time() -> None:
    content = own_wheel()
    assert content == own_wheel()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        info = f"edgerecon-{edgerecon.__version__}.dist-info"
        names = set(archive.namelist())
        rows = {name: digest for name, digest, _ in csv.reader(io.StringIO(archive.read(f"{info}/RECORD").decode()))}
        assert rows.keys() == names
        for name in names - {f"{info}/RECORD"}:
            digest = base64.urlsafe_b64encode(hashlib.sha256(archive.read(name)).digest()).rstrip(b"=").decode()
            assert rows[name] == f"sha256={digest}"
        metadata = BytesParser().parsebytes(archive.read(f"{info}/METADATA"))
        assert (metadata["Name"], metadata["Version"]) == ("edgerecon", edgerecon.__version__)
        assert b"edgerecon = edgerecon.__main__:main" in archive.read(f"{info}/entry_points.txt")
    assert {"edgerecon/cli/main.py", "edgerecon/deploy/bundle/files/install.sh", f"{info}/WHEEL"} <= names
    for room in ROOMS:
        shipped = {path.relative_to(resource_dir(room)).as_posix() for path in resource_dir(room).rglob("*.toml")}
        assert {f"edgerecon/_shipped/{room}/{name}" for name in shipped} <= names
    assert not any("__pycache__" in name or name.endswith(".pyc") for name in names)


ALONE = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
import edgerecon
from edgerecon.deploy.bundle.acceptance import self_test
print(edgerecon.__file__, self_test(Path(sys.argv[3])).max_error)
import torch
"""


def required(name: str, extras: tuple[str, ...] = ()) -> set[str]:
    """The installed packages that one needs, itself among them."""
    found, left = set[tuple[str, tuple[str, ...]]](), [(name, extras)]
    while left:
        name, extras = left.pop()
        if (name, extras) in found:
            continue
        found.add((name, extras))
        for text in requires(name) or ():
            one = Requirement(text)
            if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras or ("",)):
                left.append((one.name, tuple(sorted(one.extras))))
    return {name for name, _ in found}


def test_the_wheel_and_its_requirements_pass_the_self_test(good: Path, tmp_path: Path) -> None:
    """In an interpreter that has nothing else to import; from the package index: the test below."""
    subprocess.run(["tar", "-xzf", good, "-C", tmp_path], check=True, timeout=60)
    (folder,) = tmp_path.iterdir()
    (tmp_path / "packages").mkdir()
    for name in required("edgerecon", ("stream",)) - {"edgerecon"}:
        for top in {file.parts[0] for file in files(name) or () if file.parts[0] not in ("..", "__pycache__")}:
            link, place = tmp_path / "packages" / top, distribution(name).locate_file(top)
            if not link.exists():
                link.symlink_to(str(place))
    with zipfile.ZipFile(io.BytesIO(own_wheel())) as archive:
        archive.extractall(tmp_path / "wheel")
    command = [sys.executable, "-S", "-E", "-c", ALONE, tmp_path / "wheel", tmp_path / "packages", folder]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    place, error = done.stdout.split()
    assert place.startswith(str(tmp_path)) and float(error) < 1e-4, done.stderr
    assert "No module named 'torch'" in done.stderr, "nothing else of this machine is borrowed"


@pytest.mark.skipif("EDGERECON_INDEX" not in os.environ, reason="installs from the package index: make pins")
@pytest.mark.timeout(900)  # minutes beside load
def test_an_isolated_environment_passes_the_self_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what the archive brings: its wheel, and the packages of its lock, from the package index."""
    recipe = resource_dir("export") / "compact-despeckle.toml"
    out = tmp_path / "b.tar.gz"
    try:
        bundle(
            of_recipe(load_recipe(recipe), recipe.parent),
            load_device("x86-avx2"),
            out,
            backend="onnxruntime",
            precision="fp32",
        )
    except EdgereconError as error:
        pytest.skip(f"the package index is out of reach: {error}")
    subprocess.run(["tar", "-xzf", out, "-C", tmp_path], check=True, timeout=60)
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir() and path.name.startswith("compact-despeckle-"))
    kept = {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "SSL_", "HTTP", "http"))}
    environment = kept | {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHON": sys.executable}
    environment["PIP_NO_COMPILE"] = "1"  # of what is installed, little is imported
    done = subprocess.run(
        ["sh", folder / "install.sh", out, "--prefix", tmp_path / "p"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
    )
    if "No matching distribution" in done.stderr or "connection" in done.stderr.lower():
        pytest.skip(f"the package index is out of reach: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    assert "is current; self-test" in done.stdout
    (home,) = (tmp_path / "p").glob("edgerecon-*")
    asks = "import edgerecon, sys; print(edgerecon.__file__); import torch"
    told = subprocess.run(
        [home / "bin" / "python", "-c", asks],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert str(home) in told.stdout and "No module named 'torch'" in told.stderr, "nothing of this machine is borrowed"


def test_the_wheel_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An editable installation whose checkout went on states what the old version required."""
    monkeypatch.setattr(edgerecon, "__version__", "99.0")
    with pytest.raises(EdgereconError, match=r"is edgerecon 99\.0, installed as .* run  pip install -e \.  again"):
        own_wheel()

"""``bundle --wheels``: the packages of the target's processor and Python, from a folder instead of a package index."""

from __future__ import annotations

import hashlib
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from edgerecon.core.errors import EdgereconError
from edgerecon.core.shipped import resource_dir
from edgerecon.deploy.bundle import bundle as bundle_module
from edgerecon.deploy.bundle.bundle import bundle
from edgerecon.deploy.bundle.lock import Target, download
from edgerecon.deploy.bundle.packed_model import of_recipe
from edgerecon.hardware.device import load_device
from edgerecon.workshop.recipe import load_recipe

ARM_310 = "fast_mathematics-1.0-cp310-cp310-manylinux2014_aarch64.manylinux_2_17_aarch64.manylinux_2_28_aarch64.whl"
SHORTENED = "fast_mathematics-1.0-cp310-cp310-manylinux2014_aarch64.whl"
"""The same: an archive takes names of 100 characters."""

ARM_311 = "fast_mathematics-1.0-cp311-cp311-manylinux_2_28_aarch64.whl"
OTHERS = (
    "fast_mathematics-1.0-cp310-cp310-manylinux_2_28_x86_64.whl",
    "fast_mathematics-1.0-cp310-cp310-musllinux_1_2_aarch64.whl",
    "fast_mathematics-1.0-cp310-cp310-manylinux_2_39_aarch64.whl",  # of a C library newer than the target's
    "fast_mathematics-1.0-cp311-cp311-macosx_11_0_arm64.whl",
)
PURE = "words-2.0-py3-none-any.whl"
ORIN = Target("aarch64", "3.10")


def wheel(path: Path) -> Path:
    name, version, *_ = path.name.split("-")
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nTag: {path.stem.split('-', 2)[2]}\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip looks."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in (ARM_310, ARM_311, PURE, *OTHERS):
        wheel(folder / name)
    for key, value in {"NO_INDEX": "1", "FIND_LINKS": str(folder), "CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(f"PIP_{key}", value)
    return folder


def lock_of(folder: Path) -> str:
    """Of both packages, with the hashes of all their files, as a package index states them."""
    lines = []
    for pin in ("fast_mathematics==1.0", "words==2.0"):
        files = sorted(folder.glob(f"{pin.partition('=')[0]}-*"))
        hashes = [f"--hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files]
        lines.append(" \\\n    ".join([pin, *hashes]))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("device", "native", "packed"),
    [("jetson-orin-nx", ARM_310, SHORTENED), ("raspberry-pi-5", ARM_311, ARM_311)],
    ids=["Jetson", "Pi"],
)
def test_the_archive_holds_the_wheels_of_its_target(
    tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch, device: str, native: str, packed: str
) -> None:
    monkeypatch.setattr(bundle_module, "lock", lambda extras, target: lock_of(index))
    recipe = resource_dir("export") / "compact-despeckle.toml"
    made = bundle(
        of_recipe(load_recipe(recipe), recipe.parent),
        load_device(device),
        tmp_path / "b.tar.gz",
        backend="onnxruntime",
        precision="fp32",
        wheels=True,
    )
    with tarfile.open(made.path) as archive:
        top = archive.getnames()[0].partition("/")[0]
        content = {
            one.name.removeprefix(f"{top}/"): archive.extractfile(one).read()  # type: ignore[union-attr]
            for one in archive.getmembers()
            if one.isfile()
        }
    wheels = {Path(name).name for name in content if name.startswith("wheels/")}
    assert {name for name in wheels if not name.startswith("edgerecon-")} == {packed, PURE}
    assert content["requirements.txt"].decode().count("--hash=sha256:") == 1 + len(
        list(index.glob("fast_mathematics-*"))
    )
    assert content[f"wheels/{packed}"] == (index / native).read_bytes()
    listed = {one["name"].replace("-", "_") for one in json.loads(content["sbom.json"])["components"]}
    assert {"fast_mathematics", "words"} <= listed


def test_a_package_without_a_wheel_of_the_target_is_refused(tmp_path: Path, index: Path) -> None:
    (index / ARM_310).unlink()
    (tmp_path / "out").mkdir()
    with pytest.raises(
        EdgereconError, match=r"aarch64 with Python 3\.10 cannot be fetched: ERROR: .*fast_mathematics==1\.0"
    ):
        download(lock_of(index), ORIN, tmp_path / "out")


def test_a_wheel_that_is_not_the_locked_one_is_refused(tmp_path: Path, index: Path) -> None:
    text = lock_of(index)
    with zipfile.ZipFile(index / ARM_310, "a") as archive:
        archive.writestr("fast_mathematics.py", "import os")
    (tmp_path / "out").mkdir()
    with pytest.raises(EdgereconError, match="cannot be fetched: ERROR: THESE PACKAGES DO NOT MATCH THE HASHES"):
        download(text, ORIN, tmp_path / "out")

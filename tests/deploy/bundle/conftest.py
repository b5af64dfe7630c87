"""Bundles that the tests of this folder share."""

from __future__ import annotations

import functools
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.checksums import SUMS
from edgerecon.core.shipped import resource_dir
from edgerecon.deploy.bundle import bundle as bundle_module
from edgerecon.deploy.bundle import install as install_module
from edgerecon.deploy.bundle.acceptance import pack_frames, read_frames, self_test
from edgerecon.deploy.bundle.archive import write_archive
from edgerecon.deploy.bundle.bundle import BundleResult, bundle
from edgerecon.deploy.bundle.bundle_config import StreamSettings
from edgerecon.deploy.bundle.lock import Target
from edgerecon.deploy.bundle.packed_model import of_recipe
from edgerecon.hardware.device import load_device
from edgerecon.workshop.recipe import Recipe
from tests.deploy.bundle.bundled import CPU, LOCK, RECIPE, WHEEL

INSTALLED = Recipe.model_validate(
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


@pytest.fixture(scope="session", autouse=True)
def _the_wheel_is_made_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle_module, "own_wheel", functools.cache(bundle_module.own_wheel))
        yield


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    shutil.copy(resource_dir("export") / "compact-despeckle.onnx", folder / "tiny.onnx")
    out = folder / "tiny.tar.gz"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle_module, "lock", lambda extras, target: "")
        bundle(
            of_recipe(INSTALLED, folder),
            load_device("x86-avx2"),
            out,
            backend="onnxruntime",
            settings=StreamSettings(threads=1),
        )
    return out


@pytest.fixture(scope="session")
def files(good: Path) -> dict[str, bytes]:
    """Name → content of everything in the good bundle but its sums and what is long: the licences and the wheel."""
    with tarfile.open(good) as archive:
        contents = {
            entry.name.partition("/")[2]: archive.extractfile(entry).read()  # type: ignore[union-attr]
            for entry in archive
        }
    return {
        name: content for name, content in contents.items() if name not in (SUMS, "licences/THIRD_PARTY.txt", WHEEL)
    }


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


@pytest.fixture(scope="module")
def asked() -> Iterator[list[tuple[tuple[str, ...], Target]]]:
    """A lock without a package index; what was asked for."""
    seen: list[tuple[tuple[str, ...], Target]] = []

    def kept(extras: tuple[str, ...], target: Target) -> str:
        seen.append((extras, target))
        return LOCK

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle_module, "lock", kept)
        yield seen


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shipped model under the recipe's name, an "int8" twin for each form, and one that computes something else."""
    onnx = pytest.importorskip("onnx")
    folder = tmp_path_factory.mktemp("export")
    shipped = resource_dir("export") / "compact-despeckle.onnx"
    shutil.copy(shipped, folder / "tiny.onnx")
    (folder / "tiny.md").write_text("# tiny\n")
    model = onnx.load(shipped)
    for entry in model.metadata_props:
        if entry.key == "edgerecon.precision":
            entry.value = "int8"
    bias = next(tensor for tensor in model.graph.initializer if list(tensor.dims) == [4])
    values = onnx.numpy_helper.to_array(bias)
    for name, shift in (("tiny-int8", 1e-3), ("tiny-int8-trt", 2e-3)):
        bias.CopyFrom(onnx.numpy_helper.from_array(values + np.float32(shift), bias.name))
        onnx.save(model, folder / f"{name}.onnx")
    return folder


@pytest.fixture(scope="module")
def made(models: Path, asked: object, tmp_path_factory: pytest.TempPathFactory) -> BundleResult:
    out = tmp_path_factory.mktemp("out") / "tiny.tar.gz"
    return bundle(
        of_recipe(RECIPE, models), CPU, out, backend="onnxruntime", settings=StreamSettings(threads=1, deadline_ms=20)
    )

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from edgerecon import __version__
from edgerecon.core.errors import EdgereconError, GateError, ModelError, RecipeError, UsageError
from edgerecon.deploy.bundle import acceptance as self_test_module
from edgerecon.deploy.bundle import bundle as bundle_module
from edgerecon.deploy.bundle.acceptance import read_config, read_frames, self_test
from edgerecon.deploy.bundle.archive import BundleError
from edgerecon.deploy.bundle.bundle import BundleResult, bundle, speckle_frames
from edgerecon.deploy.bundle.bundle_config import StreamSettings
from edgerecon.deploy.bundle.lock import Target
from edgerecon.deploy.bundle.packed_model import of_recipe
from edgerecon.engines import backends
from edgerecon.hardware.device import load_device
from edgerecon.workshop.recipe import Recipe
from tests.deploy.bundle.bundled import CPU, LOCK, ORIN, PINS, RECIPE, TABLES, WHEEL, extract, only
from tests.support.opened_files import opened_files

pytestmark = pytest.mark.usefixtures("asked")

SETTINGS = StreamSettings(threads=1, deadline_ms=20)
FILES = {
    "MODEL_CARD.md",
    "README.md",
    "SHA256SUMS",
    "config.json",
    "edgerecon-stream.service",
    "install.sh",
    "licences/LICENSE",
    "licences/THIRD_PARTY.txt",
    "requirements.txt",
    "sbom.json",
    "self_test.npz",
    "tiny.onnx",
    WHEEL,
}
TOP = f"tiny-{__version__}-x86-avx2"


def test_the_archive_is_plain_and_its_sums_hold(made: BundleResult, tmp_path: Path) -> None:
    with tarfile.open(made.path) as archive:
        entries = archive.getmembers()
    assert FILES == {*made.files, "SHA256SUMS"}
    assert [entry.name for entry in entries] == [f"{TOP}/{name}" for name in sorted(FILES)]
    for entry in entries:
        assert entry.isfile() and (entry.uid, entry.gid, entry.mtime, entry.uname) == (0, 0, 0, "")
        assert entry.mode == (0o755 if entry.name.endswith("/install.sh") else 0o644)
    folder = extract(made.path, tmp_path)
    assert folder.name == TOP
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, capture_output=True, timeout=120
    )
    assert checked.returncode == 0 and checked.stdout.count(b": OK") == len(FILES) - 1
    assert made.sha256 == hashlib.sha256(made.path.read_bytes()).hexdigest()
    assert made.size_kb == made.path.stat().st_size / 1000


def test_the_same_inputs_give_the_same_bytes(made: BundleResult, models: Path, tmp_path: Path) -> None:
    """In another process, folder and hour."""
    for file in models.iterdir():
        shutil.copy(file, tmp_path / file.name)  # the copy is younger
    script = (
        "import sys, time; from pathlib import Path; sys.path.insert(0, sys.argv[1]); "
        "from tests.deploy.bundle import test_bundle as t;"
        "now = time.time; time.time = lambda: now() + 1e6; t.bundle_module.lock = lambda *asked: t.LOCK;"
        "folder, out = map(Path, sys.argv[2:]);"
        "t.bundle(t.of_recipe(t.RECIPE, folder), t.CPU, out, backend='onnxruntime', settings=t.SETTINGS)"
    )
    out = tmp_path / "again.tar.gz"
    subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parents[3]), str(tmp_path), str(out)],
        check=True,
        cwd=tmp_path,
        capture_output=True,
        timeout=120,
    )
    assert out.read_bytes() == made.path.read_bytes()
    with gzip.open(made.path) as content:
        text = content.read()
    for secret in (models, tmp_path, Path(bundle_module.__file__).parents[3]):
        assert str(secret).encode() not in text


def test_the_packed_frames_are_what_onnx_runtime_makes(made: BundleResult, models: Path, tmp_path: Path) -> None:
    import onnxruntime as ort

    folder = extract(made.path, tmp_path)
    pairs = read_frames(folder / "self_test.npz")
    session = ort.InferenceSession(str(models / "tiny.onnx"))
    assert [frame.shape for frame, _ in pairs] == [(64, 64), (101, 131)]
    for frame, expected in pairs:
        padded = np.pad(frame, [(0, -side % 4) for side in frame.shape], mode="edge")
        found = session.run(None, {"frame": padded[None, None]})[0][0, 0, : frame.shape[0], : frame.shape[1]]
        np.testing.assert_allclose(expected, np.clip(found, 0, 1), atol=1e-6)
        assert np.abs(expected - frame).max() > 0.01  # the identity would not pass for the model
    result = self_test(folder)
    assert (result.frames, result.backend, result.tolerance) == (2, "onnxruntime", 1e-5)
    assert result.max_error <= 1e-6


def test_the_frames_are_fully_developed_speckle() -> None:
    frames = speckle_frames([(256, 256), (1, 3)])
    envelope = 10 ** ((frames[0][:60].astype(float) / 255 - 1) * 60 / 20)
    assert 1.7 < envelope.mean() / envelope.std() < 2.1  # Rayleigh: 1.91
    assert frames[1].shape == (1, 3) and frames[1].dtype == np.uint8
    assert frames[0][118:138, 118:138].mean() < frames[0][:60].mean() - 40


def test_the_configuration(made: BundleResult, tmp_path: Path) -> None:
    folder = extract(made.path, tmp_path)
    config = read_config(folder)
    assert (config.name, config.device, config.backend) == ("tiny", "x86-avx2", "onnxruntime")
    assert (config.precision, config.threads, config.deadline_ms, config.engine) == ("fp32", 1, 20, None)
    assert config.tolerance == RECIPE.gates.max_abs_error
    bill = json.loads((folder / "sbom.json").read_text())
    listed = {part["name"] for part in bill["components"]}
    assert FILES - {"SHA256SUMS", "sbom.json"} <= listed and "onnxruntime" in listed
    model = next(part for part in bill["components"] if part["name"] == "tiny.onnx")
    assert model["hashes"][0]["content"] == hashlib.sha256((folder / "tiny.onnx").read_bytes()).hexdigest()
    readme = (folder / "README.md").read_text()
    assert "not for clinical use" in readme and "20 ms" in readme and "$" not in readme
    assert "--backend onnxruntime --threads 1 --deadline 20" in readme


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_bundle_reads_each_model_file_once(models: Path, tmp_path: Path, precision: str) -> None:
    with opened_files() as opens:
        bundle(of_recipe(RECIPE, models), CPU, tmp_path / "b.tar.gz", precision=precision, backend="onnxruntime")
    expected = {"tiny.onnx": 1} | ({"tiny-int8.onnx": 1} if precision == "int8" else {})
    assert {
        name: count for name, count in opens.items() if name.startswith("tiny") and name.endswith(".onnx")
    } == expected


def test_int8_takes_the_form_of_its_runtime(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "onnxruntime", "tensorrt")
    on_cpu = bundle(of_recipe(RECIPE, models), CPU, tmp_path / "cpu.tar.gz", precision="int8", backend="onnxruntime")
    on_gpu = bundle(of_recipe(RECIPE, models), ORIN, tmp_path / "gpu.tar.gz", precision="int8")
    assert (on_cpu.model, on_gpu.model, on_gpu.backend) == ("tiny-int8.onnx", "tiny-int8-trt.onnx", "tensorrt")
    assert 0 < on_cpu.max_error < on_gpu.max_error < 0.05
    (tmp_path / "cpu").mkdir()
    folder = extract(tmp_path / "cpu.tar.gz", tmp_path / "cpu")
    config = read_config(folder)
    assert (config.tolerance, config.precision) == (0.05, "int8")
    assert self_test(folder).max_error == pytest.approx(on_cpu.max_error)


def test_a_jetson_gets_a_container_and_its_power_modes(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, "onnxruntime", "tensorrt")
    bundle(of_recipe(RECIPE, models), ORIN, tmp_path / "b.tar.gz")
    folder = extract(tmp_path / "b.tar.gz", tmp_path)
    docker = (folder / "Dockerfile.l4t").read_text()
    assert "\nFROM nvcr.io/nvidia/l4t-jetpack:r36.4.0\n" in docker and "current/tiny.onnx --backend tensorrt" in docker
    assert '"$EDGERECON_SOURCE"' in docker and "${BUNDLE}" in docker
    assert "\nUSER 10001\n" in docker and "\nHEALTHCHECK " in docker and "--sink metrics" in docker
    readme = (folder / "README.md").read_text()
    assert "nvpmodel" in readme and all(f"| {mode.name} |" in readme for mode in ORIN.power_modes)
    bill = json.loads((folder / "sbom.json").read_text())
    assert {("jetpack", "6.2"), ("tensorrt", "10.3")} <= {(p["name"], p.get("version")) for p in bill["components"]}
    unit = (folder / "edgerecon-stream.service").read_text()
    assert "SupplementaryGroups=video" in unit and "PrivateDevices" not in unit and "ProtectClock=no" in unit


@pytest.mark.parametrize(("name", "why"), [("jetson-xavier-nx", "Python 3.8"), ("jetson-agx-thor", "no L4T image")])
def test_no_container_where_none_would_run(models: Path, tmp_path: Path, name: str, why: str) -> None:
    result = bundle(of_recipe(RECIPE, models), load_device(name), tmp_path / "b.tar.gz", backend="onnxruntime")
    assert "Dockerfile.l4t" not in result.files
    assert why in (extract(result.path, tmp_path) / "README.md").read_text()


def test_a_fixed_size_is_the_one_tested(models: Path, tmp_path: Path) -> None:
    fixed = Recipe.model_validate(TABLES | {"shapes": {"fixed": [48, 80]}})
    bundle(of_recipe(fixed, models), CPU, tmp_path / "b.tar.gz", backend="onnxruntime")
    pairs = read_frames(extract(tmp_path / "b.tar.gz", tmp_path) / "self_test.npz")
    assert [frame.shape for frame, _ in pairs] == [(48, 80)]


def test_an_engine_goes_along(models: Path, tmp_path: Path) -> None:
    engine = tmp_path / "tiny-8.7.engine"
    engine.write_bytes(b"engine" * 100)
    result = bundle(of_recipe(RECIPE, models), CPU, tmp_path / "b.tar.gz", backend="onnxruntime", engine=engine)
    folder = extract(result.path, tmp_path)
    assert read_config(folder).engine == "tiny.x86-avx2.engine" in result.files
    assert (folder / "tiny.x86-avx2.engine").read_bytes() == engine.read_bytes()


NO_LIMIT = Recipe.model_validate({**TABLES, "gates": {}})
STRICT = Recipe.model_validate({**TABLES, "gates": {"max_difference": 1e-4}})


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"recipe": NO_LIMIT, "precision": "int8"}, RecipeError, "gates.max_difference"),
        ({"recipe": STRICT, "precision": "int8"}, GateError, "differs from tiny.onnx by .*, allowed is 0.0001"),
        ({"precision": "fp16"}, ModelError, "tiny-fp16.onnx"),
        ({"precision": "int4"}, UsageError, "unknown precision 'int4'"),
        ({"precision": "bf16"}, UsageError, "no bf16"),
        ({"backend": "tensorrt"}, UsageError, "no backend 'tensorrt'"),
        ({"device": load_device("pynq-z2"), "backend": None}, UsageError, "streams on pynq-z2: `edgerecon build"),
        ({"out": "b.zip"}, UsageError, "tar.gz"),
        ({"out": "absent/b.tar.gz"}, EdgereconError, "cannot write"),
        ({"threads": 0}, UsageError, "threads"),
        ({"deadline_ms": float("nan")}, UsageError, "deadline_ms"),
        ({"strength": 1.5}, UsageError, "strength"),
        ({"protect": "tissue"}, UsageError, "protect"),
        ({"crop": "1,2"}, UsageError, "crop"),
        ({"engine": "absent.engine"}, BundleError, "absent.engine"),
    ],
)
def test_what_cannot_be_bundled(
    models: Path, tmp_path: Path, changes: dict[str, object], error: type[EdgereconError], message: str
) -> None:
    known = {field.name for field in fields(StreamSettings)}
    settings = StreamSettings(**{name: value for name, value in changes.items() if name in known})  # type: ignore[arg-type]
    changes = {name: value for name, value in changes.items() if name not in known}
    facts = {"device": CPU, "out": "b.tar.gz", "backend": "onnxruntime", **changes}
    facts["out"] = tmp_path / str(facts["out"])
    if "engine" in facts:
        facts["engine"] = tmp_path / str(facts["engine"])
    with pytest.raises(error, match=message) as caught:
        bundle(of_recipe(facts.pop("recipe", RECIPE), models), settings=settings, **facts)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_files_of_two_recipes_do_not_mix(models: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(models / "tiny-int8.onnx")
    next(entry for entry in model.metadata_props if entry.key == "edgerecon.recipe_hash").value = "0" * 64
    onnx.save(model, tmp_path / "tiny-int8.onnx")
    shutil.copy(models / "tiny.onnx", tmp_path)
    with pytest.raises(UsageError, match="different recipes"):
        bundle(of_recipe(RECIPE, tmp_path), CPU, tmp_path / "b.tar.gz", precision="int8", backend="onnxruntime")
    shutil.copy(models / "tiny.onnx", tmp_path / "tiny-int8.onnx")
    with pytest.raises(UsageError, match="holds fp32, not int8"):
        bundle(of_recipe(RECIPE, tmp_path), CPU, tmp_path / "b.tar.gz", precision="int8", backend="onnxruntime")


def test_a_failed_write_leaves_the_older_bundle(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "b.tar.gz"
    out.write_bytes(b"older")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(EdgereconError, match="No space left"):
        bundle(of_recipe(RECIPE, models), CPU, out, backend="onnxruntime")
    assert [path.name for path in tmp_path.iterdir()] == ["b.tar.gz"] and out.read_bytes() == b"older"


def test_the_lock_is_of_the_target(
    models: Path, tmp_path: Path, asked: list[tuple[tuple[str, ...], Target]], monkeypatch: pytest.MonkeyPatch
) -> None:
    three = {name: backends()[name] for name in ("onnxruntime", "openvino", "tensorrt")}
    monkeypatch.setattr(bundle_module, "backends", lambda: three)
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    for device, target, extras in (
        ("jetson-orin-nx", Target("aarch64", "3.10"), ("stream", "nvidia")),
        ("raspberry-pi-5", Target("aarch64", "3.11"), ("stream",)),
        ("x86-avx2", Target("x86_64", here), ("stream", "openvino")),
    ):
        result = bundle(of_recipe(RECIPE, models), load_device(device), tmp_path / f"{device}.tar.gz", precision="fp32")
        assert asked[-1] == (extras, target) and (result.machine, result.python) == (target.machine, target.python)
        folder = extract(result.path, tmp_path)
        assert (folder / "requirements.txt").read_text() == LOCK
        bill = json.loads((folder / "sbom.json").read_text())
        libraries = {part["name"]: part for part in bill["components"] if part["type"] == "library"}
        assert {name: part["version"] for name, part in libraries.items()} == {**PINS, "edgerecon": __version__}
        assert libraries["numpy"]["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
        wheel = (folder / WHEEL).read_bytes()
        assert libraries["edgerecon"]["hashes"][0]["content"] == hashlib.sha256(wheel).hexdigest()
        assert (
            f'[ "$found" = "{target.machine} {target.python.replace(".", " ")}" ]'
            in (folder / "install.sh").read_text()
        )


def test_the_precision_is_the_one_that_the_profile_prefers(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    three = {name: backends()[name] for name in ("onnxruntime", "openvino", "tensorrt")}
    monkeypatch.setattr(bundle_module, "backends", lambda: three)
    for device, recipe, backend, precision, why in (
        (CPU, RECIPE, None, "int8", "x86-avx2 prefers it"),
        (CPU, RECIPE, "onnxruntime", "fp32", "x86-avx2 prefers int8 on openvino"),
        (CPU, NO_LIMIT, None, "fp32", "has no gates.max_difference"),
        (ORIN, RECIPE, None, "fp32", "prefers fp16, and there is no tiny-fp16.onnx"),
    ):
        result = bundle(of_recipe(recipe, models), device, tmp_path / "b.tar.gz", backend=backend)
        assert result.precision == precision and why in result.why
    assert bundle(of_recipe(RECIPE, models), CPU, tmp_path / "b.tar.gz", precision="fp32").why == "asked for"


def test_frames_that_are_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f.npz"
    with pytest.raises(BundleError, match="broken"):
        read_frames(path)
    for arrays in (
        {"frame_0": np.zeros((2, 2)), "expected_0": np.zeros((2, 2), np.float32)},
        {"frame_0": np.zeros((2, 2), np.uint8), "other": np.zeros((2, 2), np.float32)},
        {"frame_0": np.array([{}]), "expected_0": np.zeros((2, 2), np.float32)},
    ):
        np.savez(path, allow_pickle=True, **arrays)
        with pytest.raises(BundleError, match="broken"):
            read_frames(path)
    np.savez(path)
    with pytest.raises(BundleError, match="no frames"):
        read_frames(path)
    path.write_bytes(b"no zip")
    with pytest.raises(BundleError, match="broken"):
        read_frames(path)
    np.savez_compressed(path, frame_0=np.zeros((1000, 1000), np.uint8), expected_0=np.zeros((1000, 1000), np.float32))
    assert path.stat().st_size < 20_000 and len(read_frames(path)) == 1
    monkeypatch.setattr(self_test_module, "MAX_FRAME_BYTES", 4_000_000)
    with pytest.raises(BundleError, match="too large"):
        read_frames(path)

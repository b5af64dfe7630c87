"""Every backend that is here keeps the engine's contract and agrees with ONNX Runtime; precisions and names."""

from __future__ import annotations

import importlib
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgerecon import engines
from edgerecon.core.errors import DependencyError, EngineError, ModelError, UsageError
from edgerecon.core.frame import Image, to_unit
from edgerecon.engines import Backend, Engine, backends, find_file, open_engine
from edgerecon.modelfile import catalogue, variants
from edgerecon.modelfile.file import ModelFile, read_model
from edgerecon.modelfile.variants import VARIANTS, Variant
from tests.support import hand_made
from tests.support.plug_in import plug_in

CPU = [one.name for one in backends().values() if one.kind in ("cpu", "reference") and one.available]
OTHERS = [name for name in CPU if name != "onnxruntime"]
Models = dict[str, Path]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """One family: a file of each precision, named as shipped ones are."""
    folder = tmp_path_factory.mktemp("export")
    return {
        "fp32": hand_made.fp32(folder / "net.onnx"),
        "fp16": hand_made.fp16(folder / "net-fp16.onnx"),
        "unsigned": hand_made.int8(folder / "net-int8.onnx", "unsigned"),
        "signed": hand_made.int8(folder / "net-int8-trt.onnx", "signed"),
    }


@pytest.fixture
def shipped(models: Models, monkeypatch: pytest.MonkeyPatch) -> Models:
    monkeypatch.setattr("edgerecon.modelfile.catalogue.resource_dir", lambda room: models["fp32"].parent)
    return models


def _difference(path: Path | str, backend: str, frames: list[Image]) -> float:
    """Largest from ONNX Runtime; NaN stays."""
    reference, engine = open_engine(path, "onnxruntime", threads=1), open_engine(path, backend, threads=1)
    pairs = [(reference.run(frame), engine.run(frame)) for frame in frames]
    assert max(float(expected.std()) for expected, _ in pairs) > 0.01  # an image, not black
    return float(np.max([np.abs(expected - found).max() for expected, found in pairs]))


def _frames(rng: np.random.Generator) -> list[Image]:
    sizes = ((1, 1), (2, 2), (7, 5), (33, 64), (129, 127))
    return [rng.random(size, dtype=np.float32) for size in sizes] + [np.ones((8, 8), np.float32)]


KEYS = {"fp32": "fp32", "fp16": "fp16", "unsigned": "int8", "signed": "int8-trt"}
RUN = [
    (name, kind)
    for name in OTHERS
    for kind, key in KEYS.items()
    if key in backends()[name].runs or name == "openvino"  # which takes signed files, too, where the CPU has VNNI
]


@pytest.mark.parametrize(("backend", "kind"), RUN)
@pytest.mark.parametrize("tolerance", [1e-5])
def test_agrees_with_onnxruntime(
    models: Models, backend: str, kind: str, tolerance: float, rng: np.random.Generator
) -> None:
    try:
        limit = 1e-3 if kind == "fp16" else tolerance
        assert _difference(models[kind], backend, _frames(rng)) <= limit
    except EngineError as error:
        assert kind == "signed" and "VNNI" in str(error)


@pytest.mark.parametrize("backend", OTHERS)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 99))
def test_agrees_on_any_size(models: Models, backend: str, height: int, width: int, seed: int) -> None:
    frame = np.random.default_rng(seed).random((height, width), dtype=np.float32)
    expected = open_engine(models["fp32"], "onnxruntime", threads=1).run(frame)
    np.testing.assert_allclose(open_engine(models["fp32"], backend, threads=1).run(frame), expected, atol=1e-5)


@pytest.mark.parametrize("backend", OTHERS)
def test_shipped_models_agree_on_a_real_cine(backend: str, echo_cine: Path) -> None:
    from pydicom.pixels import pixel_array

    frames = [to_unit(pixel_array(echo_cine, index=index)) for index in (0, 17)]
    for name in ("compact-despeckle", "compact-compound"):
        assert _difference(name, backend, frames) <= 1e-5


@pytest.mark.parametrize("backend", OTHERS)
def test_the_shipped_model_agrees_on_real_recordings(backend: str, shared_data: Path) -> None:
    from edgerecon.stream.sources import open_source

    frames = []
    for name in ("cine/BoneUltrasound_L14.igs.mha", "frames/timtrack_vl_S1.npz", "rf/MouseLiverB.mha"):
        with closing(open_source(str(shared_data / name))) as source:
            frames.append(to_unit(next(iter(source.frames())).image))
    assert _difference("compact-despeckle", backend, frames) <= 1e-5


@pytest.mark.parametrize("backend", CPU)
def test_the_contract(models: Models, backend: str, rng: np.random.Generator) -> None:
    engine = open_engine(models["fp32"], backend, threads=1)
    spec = engine.spec
    assert (spec.backend, spec.precision, spec.threads, spec.model.name) == (backend, "fp32", 1, "hand")
    frame, out = rng.random((21, 34), dtype=np.float32), np.empty((21, 34), np.float32)
    expected = engine.run(frame)
    assert expected.dtype == np.float32 and 0 <= expected.min() < expected.max() <= 1
    assert engine.run(frame, out) is out
    np.testing.assert_array_equal(out, expected)
    engine.run(np.zeros((21, 34), np.float32))
    np.testing.assert_array_equal(engine.run(frame.copy(), frame), expected)  # results do not alias, out may be any
    np.testing.assert_array_equal(out, expected)
    strided = np.asfortranarray(rng.random((42, 68), dtype=np.float32))[::2, ::2]
    np.testing.assert_array_equal(engine.run(strided), engine.run(np.ascontiguousarray(strided)))


@pytest.mark.parametrize("backend", CPU)
def test_frames_may_change_size(models: Models, backend: str, rng: np.random.Generator) -> None:
    engine = open_engine(models["fp32"], backend, threads=1)
    for shape in ((9, 9), (10, 3), (9, 9), (1, 1), (64, 80)):
        frame = rng.random(shape, dtype=np.float32)
        expected = open_engine(models["fp32"], backend, threads=1).run(frame)
        np.testing.assert_allclose(engine.run(frame), expected, atol=1e-6)


@pytest.mark.parametrize("backend", CPU)
def test_wrong_frames_do_not_end_it(models: Models, backend: str) -> None:
    engine = open_engine(models["fp32"], backend, threads=1)
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4)), np.zeros((1, 4, 4), np.float32), None):
        with pytest.raises(EngineError, match="float32 H×W"):
            engine.run(wrong)  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="out must be"):
        engine.run(np.zeros((4, 4), np.float32), np.zeros((4, 4)))  # type: ignore[arg-type]
    assert engine.run(np.ones((4, 4), np.float32)).shape == (4, 4)


@pytest.mark.parametrize("backend", CPU)
def test_closed(models: Models, backend: str) -> None:
    for used in (True, False):
        engine = open_engine(models["fp32"], backend, threads=1)
        if used:
            engine.run(np.zeros((4, 4), np.float32))
        engine.close()
        engine.close()
        with pytest.raises(EngineError, match="closed"):
            engine.run(np.zeros((4, 4), np.float32))


@pytest.mark.parametrize("backend", CPU)
def test_corrupt_bytes_never_crash(
    models: Models, backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, rng = models["fp32"].read_bytes(), np.random.default_rng(1)
    path, refused = tmp_path / "damaged.onnx", 0
    for _ in range(25):
        damaged = bytearray(content)
        for at in rng.integers(0, len(content), 3):
            damaged[at] = rng.integers(256)
        path.write_bytes(bytes(damaged))
        try:
            open_engine(path, backend, threads=1).run(np.full((4, 4), 0.5, np.float32))
        except (ModelError, EngineError) as error:
            refused += 1
            assert "\n" not in str(error)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError):
        open_engine(path, backend, threads=1)
    assert tuple(capsys.readouterr()) == ("", "")
    assert refused  # damage in a weight alone cannot be told from another weight


def test_auto_takes_the_fastest_that_is_there(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_engine(models["fp32"], threads=1).spec.backend == CPU[0]
    _change(monkeypatch, "openvino", probe=lambda: "openvino not installed")
    assert open_engine(models["fp32"], threads=1).spec.backend == "onnxruntime"


@pytest.mark.parametrize(
    ("precision", "backend", "opened"),
    [
        (None, "onnxruntime", "net.onnx"),
        ("fp32", "onnxruntime", "net.onnx"),
        ("fp16", "onnxruntime", "net-fp16.onnx"),
        ("int8", "onnxruntime", "net-int8.onnx"),
        ("int8", "auto", "net-int8.onnx"),
        ("int8", "tensorrt", "net-int8-trt.onnx"),
        ("bf16", "openvino", "net.onnx"),
    ],
)
def test_a_name_finds_the_file_of_a_precision(
    shipped: Models, monkeypatch: pytest.MonkeyPatch, precision: str | None, backend: str, opened: str
) -> None:
    calls = _record(monkeypatch)
    for name in ("net", "net-int8" if precision else "net"):
        open_engine(name, backend, precision)
        file, asked = calls.pop()
        assert asked == (precision or "fp32")
        if name == "net" or precision != "int8":
            assert file.name == opened
        else:
            assert file.name == "net-int8.onnx"  # it has the precision: no other is looked for


def _record(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, str]]:
    """Backends that are there and only take note of (file, precision)."""
    calls: list[tuple[Path, str]] = []

    def opened(file: ModelFile, device: str | None, threads: int, precision: str) -> SimpleNamespace:
        calls.append((file.path, precision))
        return SimpleNamespace(spec=SimpleNamespace(model=file.spec))

    for name in backends():
        _change(monkeypatch, name, probe=lambda: "", open=opened)
    return calls


def _change(monkeypatch: pytest.MonkeyPatch, name: str, **facts: Any) -> None:
    """Another record of a runtime."""
    changed = {**engines.backends(), name: replace(engines.backends()[name], **facts)}
    monkeypatch.setattr(engines, "backends", lambda: changed)


def test_file_that_was_read_stands_for_itself(models: Models) -> None:
    with pytest.raises(UsageError, match=r"net\.onnx is fp32, not int8: give .*net-int8\.onnx"):
        open_engine(read_model(models["fp32"]), precision="int8")
    with pytest.raises(UsageError, match=r"net\.onnx is fp32, not int8: give .*net-int8-trt\.onnx"):
        open_engine(read_model(models["fp32"]), "tensorrt", "int8")
    with pytest.raises(UsageError, match=r"net-int8\.onnx is int8, not fp32: give .*net\.onnx"):
        open_engine(read_model(models["unsigned"]), precision="fp32")


@pytest.mark.parametrize(("given", "precision", "opened"), [("fp32", "int8", "unsigned"), ("unsigned", "fp32", "fp32")])
def test_path_and_precision_open_the_file_beside_it(models: Models, given: str, precision: str, opened: str) -> None:
    assert find_file(models[given], precision=precision).path == models[opened]
    with closing(open_engine(str(models[given]), "onnxruntime", precision)) as engine:
        assert engine.spec.precision == precision


def test_path_and_a_new_precision_open_the_file_beside_it(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Variant("w12", "-w12", "w12", "", "weights of 12 bits")
    monkeypatch.setattr(variants, "VARIANTS", (*VARIANTS, own))
    monkeypatch.setattr(catalogue, "VARIANTS", (*VARIANTS, own))
    made = onnx.load(models["fp32"])
    next(one for one in made.metadata_props if one.key == "edgerecon.precision").value = "w12"
    onnx.save(made, tmp_path / "net-w12.onnx")
    (tmp_path / "net.onnx").write_bytes(models["fp32"].read_bytes())
    assert find_file(tmp_path / "net.onnx", precision="w12").path == tmp_path / "net-w12.onnx"


def test_path_without_a_file_of_the_precision_is_refused(models: Models, tmp_path: Path) -> None:
    alone = tmp_path / "alone.onnx"
    alone.write_bytes(models["fp32"].read_bytes())
    with pytest.raises(UsageError, match=r"is fp32, not fp16: there is no alone-fp16\.onnx .*edgerecon export RECIPE"):
        open_engine(alone, precision="fp16")
    (tmp_path / "alone-fp16.onnx").write_bytes(models["fp32"].read_bytes())
    with pytest.raises(UsageError, match="is fp32, not fp16"):
        open_engine(tmp_path / "alone-fp16.onnx", precision="fp16")


def test_a_sibling_that_lies(shipped: Models, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("net.onnx", "net-int8.onnx"):
        (tmp_path / name).write_bytes(shipped["fp32"].read_bytes())
    monkeypatch.setattr("edgerecon.modelfile.catalogue.resource_dir", lambda room: tmp_path)
    with pytest.raises(UsageError, match=r"net-int8\.onnx is fp32, not int8: make both again"):
        open_engine("net", precision="int8")


def test_precisions(models: Models) -> None:
    with pytest.raises(UsageError, match="unknown precision 'fp8': choose one of fp32, fp16, bf16, int8"):
        open_engine(models["fp32"], precision="fp8")
    with pytest.raises(UsageError, match="onnxruntime does not compute in bf16: choose openvino"):
        open_engine(models["fp32"], "onnxruntime", "bf16")
    with pytest.raises(UsageError, match="is int8, not fp32"):
        open_engine(read_model(models["unsigned"]), "openvino", "bf16")


@pytest.mark.parametrize(("backend", "extra"), [("openvino", "openvino"), ("pytorch", "train"), ("tensorrt", "nvidia")])
def test_an_absent_runtime_names_its_extra(
    models: Models, monkeypatch: pytest.MonkeyPatch, backend: str, extra: str
) -> None:
    for name in backends():
        _change(monkeypatch, name, probe=lambda: "runtime not installed")
    with pytest.raises(DependencyError, match=rf"not installed: run  pip install 'edgerecon\[{extra}\]'"):
        open_engine(models["fp32"], backend)
    with pytest.raises(EngineError, match="pip install onnxruntime"):
        open_engine(models["fp32"])
    with pytest.raises(DependencyError, match=r"edgerecon\[openvino\]"):  # what would bring bf16
        open_engine(models["fp32"], precision="bf16")


def test_every_runtime_is_one_record_in_one_file() -> None:
    folder = Path(engines.__file__).parent
    for name, backend in backends().items():
        module = importlib.import_module(f"edgerecon.engines.{name}")
        assert isinstance(backend, Backend) and module.BACKEND is backend and backend.name == name
        assert (folder / f"{name}.py").is_file() or (folder / name / "engine.py").is_file()
        assert set(backend.runs) <= {one.key for one in VARIANTS}
    assert set(CPU) <= set(engines.available_backends()) <= set(backends())


def test_another_package_adds_a_runtime(monkeypatch: pytest.MonkeyPatch, models: Models) -> None:
    own = replace(backends()["onnxruntime"], name="mine", rank=0)
    plug_in(monkeypatch, "edgerecon.engines", own)
    backends.cache_clear()
    try:
        assert backends()["mine"] is own
        assert open_engine(models["fp32"], "mine", threads=1).run(np.zeros((4, 4), np.float32)).shape == (4, 4)
    finally:
        backends.cache_clear()


def test_asking_what_is_there_imports_no_runtime() -> None:
    heavy = ("torch", "openvino", "onnxruntime", "onnx", "tensorrt", "tensorrt_rtx", "pycuda")
    code = (
        f"import sys, edgerecon.engines as e; e.available_backends(); print([m for m in {heavy} if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert found.stdout.strip() == "[]"


def test_two_engines_side_by_side(models: Models, rng: np.random.Generator) -> None:
    opened: list[Engine] = [open_engine(models["fp32"], name, threads=1) for name in CPU for _ in range(2)]
    frames = [rng.random((12, 14 + 2 * index), dtype=np.float32) for index in range(len(opened))]
    expected = [open_engine(models["fp32"], "onnxruntime", threads=1).run(frame) for frame in frames]
    for _ in range(2):
        for engine, frame, target in zip(opened, frames, expected, strict=True):
            np.testing.assert_allclose(engine.run(frame), target, atol=1e-5)

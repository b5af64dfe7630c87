"""The engine ``native`` against ONNX Runtime, and what happens where it cannot run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from typer.testing import CliRunner

from edgerecon.cli.doctor import check_backend
from edgerecon.cli.main import app
from edgerecon.core.errors import EngineError, ModelError, UsageError
from edgerecon.core.frame import to_uint8, to_unit
from edgerecon.cpu import compile as compiling
from edgerecon.cpu import library as loading
from edgerecon.cpu import store
from edgerecon.cpu.compile import Compiler
from edgerecon.cpu.graph_layers import read_layers
from edgerecon.engines import backends, open_engine
from edgerecon.engines.base import takes_bytes
from edgerecon.modelfile.catalogue import find_file, model_path, shipped_models
from edgerecon.modelfile.variants import family
from edgerecon.stream.engines import EDGE
from edgerecon.stream.picture.protect import ProtectedEngine
from edgerecon.stream.picture.strength import BlendedEngine
from tests.cpu.reference import run_integers
from tests.support import hand_made

SIZES = ((1, 1), (1, 7), (2, 2), (7, 5), (33, 64), (129, 127), (200, 301))


def clipped_difference(path: Path | str, threads: int, rng: np.random.Generator) -> float:
    reference, engine = open_engine(path, "onnxruntime", threads=1), open_engine(path, "native", threads=threads)
    frames = [rng.random(size, dtype=np.float32) for size in SIZES]
    return max(float(np.abs(reference.run(frame) - engine.run(frame)).max()) for frame in frames)


def float_models() -> list[str]:
    return [name for name in shipped_models() if (s := find_file(name).spec).precision == "fp32" and s.channels == 1]


@pytest.mark.parametrize("name", float_models())
def test_shipped_models_agree_with_onnxruntime(native: None, name: str, rng: np.random.Generator) -> None:
    assert clipped_difference(name, 2, rng) <= 1e-5


def integer_models() -> list[str]:
    return [name for name in shipped_models() if find_file(name).spec.precision == "int16"]


@pytest.mark.parametrize("name", integer_models())
def test_shipped_integers_are_the_reference_bytes(native: None, name: str, rng: np.random.Generator) -> None:
    file = find_file(name)
    assert file.spec.quality["validation_psnr_db"] > find_file(family(name)).spec.quality["validation_psnr_db"] - 0.02
    frame = rng.random((40, 60), dtype=np.float32)
    expected = np.clip(run_integers(read_layers(file), frame), 0, 1)
    for threads in (1, 2):
        assert np.array_equal(open_engine(name, "native", threads=threads).run(frame), expected)


@pytest.mark.parametrize("tissue", ["auto", "none", (10, 20, 64, 40)])
@pytest.mark.parametrize("strength", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("name", ["compact-despeckle-w8d4", "compact-despeckle-w8d4-int16"])
def test_a_stream_shows_bytes_as_it_showed_floats(
    native: None, name: str, strength: float, tissue: str | tuple[int, int, int, int], rng: np.random.Generator
) -> None:
    """Strength, protection and the continued border included; a blend may end on the next level, by its rounding."""
    frame = np.full((101, 126), 7, np.uint8)
    frame[11:93, 5:100] = rng.integers(0, 256, (82, 95))
    frame[2:7, 104:109] = 250

    def opened() -> BlendedEngine | ProtectedEngine:
        one = open_engine(name, "native", threads=2)
        one.margin = EDGE  # type: ignore[attr-defined]
        blended = BlendedEngine(one, strength)
        return blended if tissue == "none" else ProtectedEngine(blended, tissue)

    shown, bytewise = np.empty_like(frame), opened()
    assert takes_bytes(bytewise)
    bytewise.run_bytes(frame, shown)
    expected = to_uint8(opened().run(to_unit(frame)))
    difference = np.abs(shown.astype(int) - expected)
    assert difference.max() <= (strength == 0.4) and np.mean(difference > 0) < 1e-3
    if strength == 0:
        assert np.array_equal(shown, frame)


def test_an_engine_without_bytes_keeps_to_floats(native: None) -> None:
    assert not takes_bytes(open_engine("compact-despeckle-w8d4", "onnxruntime", threads=1))
    assert not takes_bytes(BlendedEngine(open_engine("compact-despeckle-w8d4", "onnxruntime", threads=1), 1))


def test_a_closed_engine_takes_no_bytes(native: None) -> None:
    engine = open_engine("compact-despeckle-w8d4", "native", threads=1)
    engine.close()
    with pytest.raises(EngineError, match="the engine is closed"):
        engine.run_bytes(np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8))  # type: ignore[attr-defined]


def test_a_twin_runs_beside_its_engine(native: None, rng: np.random.Generator) -> None:
    engine = open_engine("compact-despeckle", "native", threads=1)
    twin, frame = engine.duplicate(), rng.random((50, 70), dtype=np.float32)  # type: ignore[attr-defined]
    expected = engine.run(frame)
    twin.run(rng.random((20, 20), dtype=np.float32))
    engine.close()
    assert np.array_equal(twin.run(frame), expected)


@pytest.mark.parametrize("inside", [-4.0, 0.5, 9.0, np.inf, -np.inf, np.nan])
def test_any_pixels_give_what_clipped_ones_give(native: None, inside: float) -> None:
    frame = np.full((16, 16), 0.5, np.float32)
    frame[4:6, 4:6] = inside
    found = open_engine("compact-despeckle", "native", threads=1).run(frame)
    clean = np.clip(np.nan_to_num(frame, nan=0.0), 0, 1)
    assert np.abs(found - open_engine("compact-despeckle", "onnxruntime", threads=1).run(clean)).max() <= 1e-5


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([helper.make_node("Sigmoid", ["frame"], ["reconstruction"])], "has no operator Sigmoid"),
        (
            [
                helper.make_node("Conv", ["frame", "w"], ["c"], pads=[1, 0, 1, 0]),
                helper.make_node("Relu", ["c"], ["reconstruction"]),
            ],
            "Conv whose pads differ by axis",
        ),
        (
            [
                helper.make_node("Conv", ["frame", "w"], ["c"], pads=[1, 1, 1, 1]),
                helper.make_node("Add", ["c", "c"], ["reconstruction"]),
            ],
            "Add that does not end a convolution",
        ),
        ([helper.make_node("Conv", ["frame", "absent"], ["reconstruction"])], "refers to what is not there"),
    ],
)
def test_a_graph_without_kernels_is_refused(
    native: None,
    tmp_path: Path,
    nodes: list,
    reason: str,
) -> None:
    path = hand_made.save(tmp_path / "net.onnx", nodes, {"w": np.ones((1, 1, 3, 3), np.float32)})
    with pytest.raises(ModelError, match=reason):
        open_engine(path, "native")


@pytest.mark.parametrize("residual", [False, True])
def test_networks_without_a_shuffle_run(
    native: None,
    tmp_path: Path,
    residual: bool,
    rng: np.random.Generator,
) -> None:
    nodes = [
        helper.make_node("Conv", ["frame", "w0", "b0"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Conv", ["r", "w1"], ["c"], pads=[2, 2, 2, 2], dilations=[2, 2]),
        helper.make_node("Add", ["c", "frame"] if residual else ["c", "c0"], ["reconstruction"]),
    ]
    if not residual:
        nodes[2:] = [helper.make_node("Conv", ["r", "w1"], ["reconstruction"], pads=[2, 2, 2, 2], dilations=[2, 2])]
    constants = {
        "w0": rng.standard_normal((5, 1, 3, 3)).astype(np.float32) / 9,
        "b0": rng.random(5).astype(np.float32),
        "w1": rng.standard_normal((1, 5, 3, 3)).astype(np.float32) / 9,
    }
    assert clipped_difference(hand_made.save(tmp_path / "net.onnx", nodes, constants), 2, rng) <= 1e-5


def test_without_kernels_everything_else_runs(rng: np.random.Generator) -> None:
    loading.load_library.cache_clear()
    record = backends()["native"]
    assert not record.available and check_backend(record).remedy == "edgerecon kernels build --cpu"
    with pytest.raises(EngineError, match="its kernels are not built for this machine; run  edgerecon kernels build"):
        open_engine("compact-despeckle", "native")
    assert open_engine("compact-despeckle").spec.backend != "native"


def test_a_damaged_library_counts_as_none(native: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = store.find_built()
    assert built
    damaged = tmp_path / "kernels" / built.path.name
    damaged.parent.mkdir()
    content = bytearray(built.path.read_bytes())
    content[-100] ^= 1
    damaged.write_bytes(content)
    monkeypatch.setenv("EDGERECON_CACHE", str(tmp_path))
    assert store.find_built() is None and not backends()["native"].available


@pytest.mark.parametrize(
    ("library", "version", "reason"),
    [(b"\x7fELF of another processor", loading.VERSION, "does not load here"), (b"", 99, "is of another version")],
)
def test_a_library_that_does_not_fit_is_taken_over(
    native: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    library: bytes,
    version: int,
    reason: str,
) -> None:
    built = store.find_built()
    assert built
    loading.load_library.cache_clear()
    monkeypatch.setattr(loading, "VERSION", version)
    monkeypatch.setattr(loading, "find_built", lambda: replace(built, content=library or built.content))
    with pytest.raises(EngineError, match=rf"{reason}.*: delete it and run  edgerecon kernels build --cpu") as said:
        open_engine("compact-despeckle", "native", threads=1)
    assert "\n" not in str(said.value)
    with caplog.at_level("INFO", "edgerecon"):
        assert open_engine("compact-despeckle", threads=1).spec.backend == "openvino"
    assert reason in caplog.text and "backend openvino takes over" in caplog.text


def test_a_file_beyond_the_range_proof_is_refused_by_name(native: None, tmp_path: Path) -> None:
    model = onnx.load(model_path("compact-despeckle-small-int16"))
    weights = next(one for one in model.graph.initializer if one.name.endswith("1.weights"))
    name, shape = weights.name, onnx.numpy_helper.to_array(weights).shape
    weights.CopyFrom(onnx.numpy_helper.from_array(np.full(shape, 32767, np.int16), name))
    path = tmp_path / "wild-int16.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=rf"layer 2 \({name}\) fails the range proof: a transformed weight"):
        open_engine(path, "native")


def test_other_sources_make_another_library(stored: store.Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGERECON_CACHE", str(stored.path.parents[1]))
    assert store.find_built()
    monkeypatch.setattr(store, "source_digest", lambda: "others")
    assert store.find_built() is None


def test_the_compiler_is_asked_for_when_it_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    said = CliRunner().invoke(app, ["kernels", "build", "--cpu"])
    assert isinstance(said.exception, EngineError) and str(said.exception) == compiling.NO_COMPILER


def test_a_refusing_compiler_is_quoted(tmp_path: Path) -> None:
    script = tmp_path / "c++"
    script.write_text("#!/bin/sh\necho 'a.cpp:1: error: no such thing' >&2\nexit 1\n")
    script.chmod(0o755)
    with pytest.raises(EngineError, match=r"c\+\+ failed: a.cpp:1: error: no such thing"):
        compiling.compile_library(Compiler(script, "0"))


def test_the_device_is_the_cpu(native: None) -> None:
    with pytest.raises(UsageError, match="runs on device 'cpu', not 'gpu'"):
        open_engine("compact-despeckle", "native", device="gpu")

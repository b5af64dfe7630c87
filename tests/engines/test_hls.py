"""The hls engine: the compiled C++ gives the bytes of ONNX Runtime, and says that it is a simulation."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from edgerecon import engines
from edgerecon.core.errors import EngineError, ModelError, UsageError
from edgerecon.engines import hls, open_engine
from edgerecon.fpga.integer_ir import WIDTH
from tests.support import hand_made

pytestmark = pytest.mark.skipif(not hls.BACKEND.available, reason="there is no g++ here")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _one_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGERECON_CACHE", str(cache))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export folder with an fp32 file and its po2 file."""
    found = tmp_path_factory.mktemp("export")
    hand_made.fp32(found / "net.onnx")
    hand_made.po2(found / "net-po2.onnx", dilations=(1, 3, 2))
    return found


def test_equals_onnxruntime_on_any_size(folder: Path, rng: np.random.Generator) -> None:
    sizes = ((32, 20), (1, 1), (1, 33), (41, 1), (2, 2), (57, 75), (512, 512))
    frames = [rng.random(size, dtype=np.float32) for size in sizes]
    frames += [np.zeros((9, 9), np.float32), np.ones((9, 9), np.float32), (frames[0] > 0.5).astype(np.float32)]
    path = folder / "net-po2.onnx"
    with closing(open_engine(path, "hls")) as engine, closing(open_engine(path, "onnxruntime")) as reference:
        for frame in frames:
            before = frame.copy()
            np.testing.assert_array_equal(engine.run(frame), reference.run(frame))
            np.testing.assert_array_equal(frame, before)
        np.testing.assert_array_equal(engine.run(frames[0], frames[0]), reference.run(rng_frame(sizes[0])))


def rng_frame(size: tuple[int, int]) -> np.ndarray:
    """The first frame of the test above, which it overwrote."""
    return np.random.default_rng(7).random(size, dtype=np.float32)


def test_two_models_in_one_process_keep_their_own_weights(
    folder: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    paths = (folder / "net-po2.onnx", hand_made.po2(tmp_path / "other.onnx", dilations=(1, 3, 2), seed=8))
    frame = rng.random((20, 30), dtype=np.float32)
    with closing(open_engine(paths[0], "hls")) as one, closing(open_engine(paths[1], "hls")) as two:
        found = [engine.run(frame).copy() for engine in (one, two, one)]
    expected = [open_engine(path, "onnxruntime", threads=1).run(frame) for path in (*paths, paths[0])]
    assert not np.array_equal(expected[0], expected[1])
    np.testing.assert_array_equal(found, expected)


def test_what_is_no_grey_level_is_cut(folder: Path) -> None:
    with closing(open_engine(folder / "net-po2.onnx", "hls")) as engine:
        wild = np.array([[np.nan, -3.0, 9.0, np.inf, 0.5, -np.inf]], np.float32)
        tame = np.array([[0.0, 0.0, 1.0, 1.0, 0.5, 0.0]], np.float32)
        np.testing.assert_array_equal(engine.run(wild), engine.run(tame))


def test_it_is_called_a_simulation_and_never_chosen_by_itself(folder: Path) -> None:
    with closing(open_engine(folder / "net-po2.onnx", "hls", threads=4)) as engine:
        assert engine.spec.simulated and engine.spec.threads == 1 and engine.spec.model.form == "po2"
    with closing(open_engine(folder / "net-po2.onnx")) as engine:
        assert engine.spec.backend == "onnxruntime" and not engine.spec.simulated
    assert engines.backends()["hls"].rank == 0


def test_a_shipped_name_stands_for_its_po2_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgerecon.modelfile.catalogue.resource_dir", lambda room: folder)
    monkeypatch.setattr(hls, "resource_dir", lambda room: folder, raising=False)
    with closing(open_engine("net", "hls")) as engine:
        assert engine.spec.precision == "int8"
    for precision in ("fp32", "fp16", "bf16"):
        with pytest.raises(UsageError, match=f"computes in int8 alone, not in {precision}|does not compute in bf16"):
            open_engine("net", "hls", precision)
    with pytest.raises(UsageError, match="no net-po2.onnx|fp32"):
        (folder / "net-po2.onnx").rename(folder / "gone")
        try:
            open_engine("net", "hls")
        finally:
            (folder / "gone").rename(folder / "net-po2.onnx")


def test_other_files_devices_and_sizes_are_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="net.onnx has no integer form: convolution 1"):
        open_engine(folder / "net.onnx", "hls")
    with pytest.raises(UsageError, match="not 'cuda'"):
        open_engine(folder / "net-po2.onnx", "hls", device="cuda")
    with closing(open_engine(folder / "net-po2.onnx", "hls")) as engine:
        with pytest.raises(EngineError, match=f"line buffers hold {WIDTH} pixels"):
            engine.run(np.zeros((2, WIDTH + 2), np.float32))
        assert engine.run(np.zeros((2, WIDTH), np.float32)).shape == (2, WIDTH)


def test_compiles_again_only_when_the_library_does_not_load(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_engine(folder / "net-po2.onnx", "hls").close()
    assert list(cache.glob("*.hls.so")) and not list(cache.glob("*.partial"))
    compiled: list[str] = []
    monkeypatch.setattr(hls, "_compiled", lambda sources, place, name: compiled.append(name) or place / name)
    open_engine(folder / "net-po2.onnx", "hls").close()
    assert not compiled
    real, calls = hls.ctypes.CDLL, []

    def damaged(path: str) -> object:
        calls.append(path)
        if len(calls) == 1:
            raise OSError("file too short")
        return real(path)

    monkeypatch.setattr(hls.ctypes, "CDLL", damaged)
    open_engine(folder / "net-po2.onnx", "hls").close()
    assert len(compiled) == 1 and len(calls) == 2


def test_no_compiler_and_one_that_fails_are_said_in_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin" / "g++"
    fake.parent.mkdir()
    fake.write_text(
        '#!/bin/sh\ncase "$*" in *--version*) echo fake;; *) echo "x.cpp:1: error: no room" >&2; exit 1;; esac\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(EngineError, match="failed: x.cpp:1: error: no room$"):
        open_engine(folder / "net-po2.onnx", "hls")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="finds no g\\+\\+"):
        open_engine(folder / "net-po2.onnx", "hls")

"""The int16 file says all that the CPU kernels need, and nothing else is taken for one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from edgerecon.core.errors import ModelError, UsageError
from edgerecon.core.frame import Image
from edgerecon.cpu.graph_layers import read_layers
from edgerecon.cpu.quantise import quantise
from edgerecon.engines import open_engine
from edgerecon.modelfile.catalogue import find_file
from edgerecon.modelfile.file import ModelFile, read_model
from edgerecon.workshop.compress.int16 import to_int16
from tests.cpu.reference import run_integers

NAMES = ("compact-despeckle", "compact-despeckle-w8d4")


@pytest.fixture
def frames(rng: np.random.Generator) -> list[Image]:
    return [rng.random((33, 49), dtype=np.float32) for _ in range(2)]


def saved(folder: Path, file: ModelFile, frames: list[Image]) -> Path:
    path = folder / f"{file.path.stem}-int16.onnx"
    path.write_bytes(to_int16(file, frames).SerializeToString())
    return path


@pytest.mark.parametrize("name", NAMES)
def test_the_file_holds_the_quantised_layers(name: str, frames: list[Image], tmp_path: Path) -> None:
    file = find_file(name)
    made = read_model(saved(tmp_path, file, frames))
    assert (made.spec.precision, made.spec.form, made.spec.recipe_hash) == ("int16", "", file.spec.recipe_hash)
    expected = quantise(read_layers(file), [frame[:32, :48] for frame in frames])
    found = read_layers(made)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        for fact in ("kind", "source", "target", "added", "kernel", "stride", "dilation", "padding", "relu"):
            assert getattr(ours, fact) == getattr(theirs, fact), fact
        if theirs.integers:
            assert ours.integers
            for array in ("weights", "offset", "shift", "gain", "step", "floor", "ceiling"):
                assert np.array_equal(getattr(ours.integers, array), getattr(theirs.integers, array)), array


@pytest.mark.parametrize("name", NAMES)
def test_the_engine_gives_the_reference_bytes(
    native: None, name: str, frames: list[Image], tmp_path: Path, rng: np.random.Generator
) -> None:
    path = saved(tmp_path, find_file(name), frames)
    frame = rng.random((24, 32), dtype=np.float32)
    expected = np.clip(run_integers(read_layers(read_model(path)), frame), 0, 1)
    for threads in (1, 2):
        engine = open_engine(path, "native", threads=threads)
        assert engine.spec.precision == "int16"
        assert np.array_equal(engine.run(frame), expected)


def test_the_same_frames_make_the_same_bytes(frames: list[Image]) -> None:
    file = find_file("compact-despeckle-w8d4")
    assert to_int16(file, frames).SerializeToString(deterministic=True) == to_int16(file, frames).SerializeToString(
        deterministic=True
    )


def test_an_int8_file_is_refused(frames: list[Image]) -> None:
    with pytest.raises(ModelError, match="the model is int8 already"):
        to_int16(find_file("compact-despeckle-int8"), frames)


def test_a_frame_below_the_size_multiple_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ModelError, match="a calibration frame of 3×9 is too small"):
        to_int16(find_file("compact-despeckle"), [rng.random((3, 9), dtype=np.float32)])


def test_other_runtimes_do_not_take_it(frames: list[Image], tmp_path: Path) -> None:
    path = saved(tmp_path, find_file("compact-despeckle-w8d4"), frames)
    for backend in ("onnxruntime", "openvino"):
        with pytest.raises(UsageError, match=f"-int16.onnx runs on backend native alone, not on {backend}"):
            open_engine(path, backend)


@pytest.mark.parametrize(("array", "size"), [("offset", 3), ("shift", 9), ("step", 2)])
def test_arrays_of_another_length_are_refused(
    native: None, frames: list[Image], tmp_path: Path, array: str, size: int
) -> None:
    path = saved(tmp_path, find_file("compact-despeckle-w8d4"), frames)
    model = onnx.load(path)
    tensor = next(one for one in model.graph.initializer if one.name.endswith(f".{array}"))
    values = np.zeros(size, onnx.numpy_helper.to_array(tensor).dtype)
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(model, path)
    with pytest.raises(ModelError, match="has not one number an output"):
        open_engine(path, "native")

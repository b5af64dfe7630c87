"""The bf16 file: half the size, and what every CPU runtime makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.errors import ModelError
from edgerecon.engines import open_engine
from edgerecon.modelfile.catalogue import model_path
from edgerecon.modelfile.file import read_model
from edgerecon.modelfile.graph import read_graph
from edgerecon.workshop.compress.brain_float import rounded_words, to_brain_float


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bf16")
    whole = model_path("compact-despeckle")
    (folder / "net.onnx").write_bytes(whole.read_bytes())
    made = folder / "net-bf16.onnx"
    made.write_bytes(to_brain_float(whole.read_bytes()).SerializeToString(deterministic=True))
    return made


def test_words_are_rounded_to_nearest_even() -> None:
    import torch

    values = np.random.default_rng(0).normal(size=10_000).astype(np.float32) * np.float32(2.0) ** np.arange(
        -20, 20, 0.004
    )[:10_000].astype(np.float32)
    ties = np.array([0x3F808000, 0x3F818000, 0xBF808000], np.uint32).view(np.float32)
    values = np.concatenate([values, ties, np.array([0.0, -0.0, 1e-40, 3e38], np.float32)])
    expected = torch.from_numpy(values).to(torch.bfloat16).view(torch.uint16).numpy()
    np.testing.assert_array_equal(rounded_words(values), expected)


def test_the_file_is_half_as_large_and_says_what_it_is(file: Path) -> None:
    spec = read_model(file).spec
    assert (spec.precision, spec.form) == ("bf16", "")
    assert file.stat().st_size < 0.65 * file.with_name("net.onnx").stat().st_size


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_every_cpu_runtime_computes_the_rounded_weights(file: Path, backend: str) -> None:
    frame = np.random.default_rng(1).random((40, 52), dtype=np.float32)
    expected = open_engine(file, "onnxruntime", threads=1).run(frame)
    engine = open_engine(file, backend, "bf16", threads=1)
    np.testing.assert_allclose(engine.run(frame), expected, atol=1e-5 if backend == "onnxruntime" else 2e-2)
    whole = open_engine(file.with_name("net.onnx"), "onnxruntime", threads=1).run(frame)
    assert 0 < np.abs(expected - whole).max() < 0.02


def test_weights_are_read_without_a_runtime(file: Path) -> None:
    _, rounded = read_graph(read_model(file))
    _, whole = read_graph(read_model(file.with_name("net.onnx")))
    for name, values in whole.items():
        if values.dtype == np.float32:
            np.testing.assert_allclose(rounded[f"{name}_bf16"], values, rtol=2**-8, atol=1e-30)


def test_only_an_fp32_file_is_converted(file: Path) -> None:
    with pytest.raises(ModelError, match="the model is bf16 already"):
        to_brain_float(file.read_bytes())

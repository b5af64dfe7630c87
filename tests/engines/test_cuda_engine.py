"""The cuda engine on a stand-in for the GPU: what is launched, with what, and what is left afterwards."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from edgerecon.core.errors import DependencyError, EngineError, ModelError, UsageError
from edgerecon.cuda import driver as cuda_driver
from edgerecon.cuda.kernels.compact import Arguments, pack_network
from edgerecon.cuda.kernels.load import Module
from edgerecon.cuda.kernels.store import Stored
from edgerecon.engines import backends, open_engine
from edgerecon.engines.cuda import engine as cuda
from edgerecon.engines.cuda.compact_file import read_compact
from edgerecon.modelfile.catalogue import model_path
from edgerecon.modelfile.file import read_model
from tests.support import fake_gpu

SMALL = "compact-despeckle-small"
MODELS = {"compact-compound": "fp32_16", f"{SMALL}-fp16": "fp16_16", "compact-compound-int8-trt": "int8_16"}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[fake_gpu.FakeGpu]:
    """A GPU whose kernels compute with ONNX Runtime, on what the arguments point to."""
    made = fake_gpu.FakeGpu(capability="9.0")
    for name, kernel in MODELS.items():
        file = read_model(model_path(name))
        session, network = ort.InferenceSession(file.content), pack_network(read_compact(file))

        def run(
            grid: Any, block: Any, at: Arguments, shared: int, session: Any = session, network: Any = network
        ) -> None:
            assert (
                block == (512, 1, 1) and 0 < at.second < shared <= 101_376 and list(at.dilation) == [*network.dilations]
            )
            tiles = at.images * -(-at.height // (2 * at.tile_rows)) * -(-at.width // (2 * at.tile_cols))
            assert grid == (min(tiles, 8), 1, 1)
            assert made.memory[at.weights].tobytes() == network.weights.tobytes()
            np.testing.assert_array_equal(made.memory[at.scales], network.scales.reshape(-1))
            frame, out = (_memory(made, address, at.height * at.width) for address in (at.frame, at.out))
            padded = np.pad(frame.reshape(at.height, at.width), ((0, at.height % 2), (0, at.width % 2)), "edge")
            result = session.run(None, {"frame": padded[None, None]})[0][0, 0, : at.height, : at.width]
            out[...] = result.reshape(-1)

        made.kernels[f"compact_fused_{kernel}"] = run
        made.readers[f"compact_fused_{kernel}"] = lambda pointers: Arguments.from_buffer_copy(
            ctypes.string_at(pointers[0], ctypes.sizeof(Arguments))
        )
    monkeypatch.setattr(cuda_driver, "_library", made.library)
    monkeypatch.setattr(cuda, "open_gpu", lambda device: made.gpu)
    monkeypatch.setitem(vars(backends()["cuda"]), "probe", lambda: "")
    monkeypatch.setattr(cuda, "load", lambda name: Module(Stored(name, b"code", "13.0.88", Path(name))))
    yield made
    gc.collect()
    assert not made.memory and not made.modules and not made.graphs and not made.stack


def _memory(machine: fake_gpu.FakeGpu, address: int, count: int) -> np.ndarray:
    base = max(known for known in machine.memory if known <= address)
    return machine.memory[base][(address - base) // 4 :][:count]


@pytest.mark.parametrize("name", MODELS)
def test_frames_of_any_size(fake: fake_gpu.FakeGpu, name: str, rng: np.random.Generator) -> None:
    engine, reference = open_engine(name, "cuda"), open_engine(name, "onnxruntime", threads=1)
    for shape in ((16, 16), (1, 1), (7, 5), (16, 16), (64, 330)):
        frame = rng.random(shape, dtype=np.float32)
        tolerance = 2e-2 if "int8" in name else 1e-5  # the stand-in lets ONNX Runtime fuse, the engine does not
        np.testing.assert_allclose(engine.run(frame), reference.run(frame), atol=tolerance)
        assert sum(memory.size for memory in fake.memory.values()) < 20_000 + 2 * 64 * 330
    assert (engine.spec.backend, engine.spec.threads) == ("cuda", 1)
    fake.calls.clear()
    engine.run(frame)
    assert fake.calls[0] == "cuGraphLaunch" and fake.calls[-1] == "cuStreamSynchronize"
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run(frame)


def test_a_precision_opens_its_file(fake: fake_gpu.FakeGpu) -> None:
    engine = open_engine("compact-compound", "cuda", "int8")
    assert (engine.spec.precision, engine.spec.model.form) == ("int8", "signed")
    engine.close()


def test_a_sequence_is_one_replay(fake: fake_gpu.FakeGpu, rng: np.random.Generator) -> None:
    engine: Any = open_engine("compact-compound", "cuda")
    frames, out = rng.random((3, 9, 14), dtype=np.float32), np.empty((3, 9, 14), np.float32)
    assert engine.run_sequence(frames, out) is out
    assert fake.calls.count("cuLaunchKernel") >= 3
    fake.calls.clear()
    np.testing.assert_array_equal(engine.run_sequence(frames), out)
    assert fake.calls.count("cuGraphLaunch") == fake.calls.count("cuStreamSynchronize") == 1
    for frame, expected in zip(frames, out, strict=True):
        np.testing.assert_allclose(engine.run(frame), expected, atol=1e-6)
    np.testing.assert_array_equal(engine.run_sequence(frames), out)
    for wrong in (frames[0], frames.astype(np.float64), frames[:0]):
        with pytest.raises(EngineError, match="float32 T×H×W"):
            engine.run_sequence(wrong)
    with pytest.raises(EngineError, match="out must be"):
        engine.run_sequence(frames, out[:2])
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run_sequence(frames)


def test_times_of_the_stages(fake: fake_gpu.FakeGpu, rng: np.random.Generator) -> None:
    """One launch a frame between the two copies, and the frame's result is the same afterwards."""
    engine: Any = open_engine("compact-compound", "cuda")
    with pytest.raises(EngineError, match="run a frame first"):
        engine.stage_times()
    frame = rng.random((9, 14), dtype=np.float32)
    expected = engine.run(frame)
    fake.calls.clear()
    one = engine.stage_times()
    assert list(one) == ["to_device", "compute", "to_host"] and all(value > 0 for value in one.values())
    queued = [call for call, after in pairwise(fake.calls) if ("Memcpy" in call or "Launch" in call) and call != after]
    assert queued == ["cuMemcpyHtoDAsync", "cuLaunchKernel", "cuMemcpyDtoHAsync"]
    np.testing.assert_array_equal(engine.run(frame), expected)
    engine.run_sequence(np.stack([frame] * 3))
    three = engine.stage_times()
    assert three["to_host"] == one["to_host"] and three["compute"] > 2 * one["compute"]
    engine.close()
    with pytest.raises(EngineError, match="run a frame first"):
        engine.stage_times()


STAGE_CALLS = ["cuMemcpyHtoDAsync", "cuLaunchKernel", "cuMemcpyDtoHAsync", "cuEventRecord", "cuStreamSynchronize"]


@pytest.mark.parametrize("call", STAGE_CALLS)
def test_stages_that_fail_are_one_line_and_hold_nothing(fake: fake_gpu.FakeGpu, call: str) -> None:
    engine: Any = open_engine("compact-compound", "cuda")
    frame = np.ones((8, 8), np.float32)
    engine.run(frame)
    fake.failing[call] = 700
    with pytest.raises(
        EngineError, match="the stages cannot be timed: .*(out of memory|illegal memory access)"
    ) as caught:
        engine.stage_times()
    fake.failing.clear()
    engine.run(frame)
    engine.close()  # the exception is still held, and must hold no buffer
    assert caught.value and not fake.memory


CALLS = [
    "cuModuleGetFunction",
    "cuFuncSetAttribute",
    "cuStreamBeginCapture_v2",
    "cuLaunchKernel",
    "cuMemcpyDtoHAsync",
    "cuGraphInstantiateWithFlags",
]


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_fails_is_named_and_the_engine_goes_on(fake: fake_gpu.FakeGpu, call: str) -> None:
    engine, frame = open_engine("compact-compound", "cuda"), np.ones((300, 300), np.float32)
    fake.failing[call] = 2
    for _ in range(2):
        with pytest.raises(EngineError, match="^cuda failed on a 300×300 frame: .*(full|out of memory)"):
            engine.run(frame)
    fake.failing.clear()
    assert engine.run(frame).shape == (300, 300)
    engine.close()


def test_a_replay_that_fails_is_named(fake: fake_gpu.FakeGpu) -> None:
    engine, frame = open_engine("compact-compound", "cuda"), np.ones((8, 8), np.float32)
    engine.run(frame)
    fake.failing["cuStreamSynchronize"] = 700
    with pytest.raises(EngineError, match="compact_fused_fp32_16 on 1×8×8 float32: .*illegal memory access"):
        engine.run(frame)
    fake.failing.clear()
    engine.close()


@pytest.mark.parametrize("call", ["cuMemcpyHtoDAsync", "cuStreamSynchronize"])
def test_weights_that_do_not_arrive_leave_nothing(fake: fake_gpu.FakeGpu, call: str) -> None:
    fake.failing[call] = 2
    with pytest.raises(EngineError, match="compact-compound.onnx cannot be brought to the GPU"):
        open_engine("compact-compound", "cuda")


def test_too_little_shared_memory(fake: fake_gpu.FakeGpu) -> None:
    fake.attributes[97] = 4096
    engine = open_engine("compact-compound", "cuda")
    with pytest.raises(EngineError, match="4096 bytes of shared memory"):
        engine.run(np.ones((8, 8), np.float32))
    engine.close()


def _changed(path: Path, change: Callable[[onnx.ModelProto], None], name: str = "compact-compound") -> Path:
    model = onnx.load(model_path(name))
    change(model)
    onnx.save(model, path)
    return path


def _relu_away(model: onnx.ModelProto) -> None:
    node = next(node for node in model.graph.node if node.op_type == "Relu")
    node.op_type = "Tanh"


def _dilate(model: onnx.ModelProto) -> None:
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    next(a for a in conv.attribute if a.name == "dilations").ints[:] = [2, 2]


def _unsigned_zero(model: onnx.ModelProto) -> None:
    zero = next(value for value in model.graph.initializer if value.name == "relu_1_zero")
    zero.CopyFrom(onnx.numpy_helper.from_array(np.array(3, np.int8), "relu_1_zero"))


def _no_residual(model: onnx.ModelProto) -> None:
    model.graph.node[-1].input[0] = model.graph.node[-1].input[1]


CHANGES = [
    ("compact-compound", _relu_away, "operator 3 is Tanh, not Relu"),
    ("compact-compound", _dilate, r"dilations \[2, 2\] and pads \[1, 1, 1, 1\]"),
    ("compact-compound", _no_residual, "the frame is not added"),
    ("compact-compound-int8-trt", _unsigned_zero, "not to int8 around zero"),
]


@pytest.mark.parametrize(("name", "change", "reason"), CHANGES)
def test_another_network_is_refused_and_says_why(tmp_path: Path, name: str, change: Any, reason: str) -> None:
    path = _changed(tmp_path / "other.onnx", change, name)
    with pytest.raises(EngineError, match=f"other.onnx is no network for backend cuda: .*{reason}"):
        read_compact(read_model(path))


def test_unsigned_bytes_and_wide_networks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="unsigned, take the file that ends in -int8-trt"):
        read_compact(read_model(model_path(f"{SMALL}-int8")))

    def widen(model: onnx.ModelProto) -> None:
        for value in model.graph.initializer:
            array = onnx.numpy_helper.to_array(value)
            array = np.concatenate([array] * 3) if array.shape[0] == 16 else array
            array = np.concatenate([array] * 3, axis=1) if array.ndim == 4 and array.shape[1] == 16 else array
            value.CopyFrom(onnx.numpy_helper.from_array(array, value.name))

    with pytest.raises(EngineError, match="a layer has 48 channels, the kernels have at most 32"):
        read_compact(read_model(_changed(tmp_path / "wide.onnx", widen)))


def test_damaged_bytes_never_end_in_anything_but_our_errors(tmp_path: Path, rng: np.random.Generator) -> None:
    content = model_path("compact-compound-int8-trt").read_bytes()
    path = tmp_path / "damaged.onnx"
    refused = 0
    for _ in range(60):
        damaged = bytearray(content)
        for at in rng.integers(0, len(content), 4):
            damaged[at] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(damaged)
        try:
            pack_network(read_compact(read_model(path)))
        except (EngineError, ModelError):
            refused += 1
    assert 0 < refused < 60  # some damage is noticed, some is but another weight


def test_a_machine_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((EngineError, DependencyError), match="NVIDIA GPU|not installed"):
        open_engine("compact-compound", "cuda")
    monkeypatch.setitem(vars(backends()["cuda"]), "probe", lambda: "")
    with pytest.raises((EngineError, DependencyError), match="NVIDIA GPU|pycuda"):
        open_engine("compact-compound", "cuda")
    with pytest.raises(UsageError, match="cuda"):
        open_engine("compact-compound", "cuda", device="gpu")

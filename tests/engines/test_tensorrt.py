"""TensorRT: what is asked of it, on a stand-in for the GPU, since none is needed here to test that."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgerecon.core.errors import EngineError, UsageError
from edgerecon.cuda import driver as cuda_driver
from edgerecon.engines import open_engine
from edgerecon.engines.tensorrt import build, builder
from edgerecon.engines.tensorrt import engine as tensorrt
from edgerecon.engines.tensorrt.builder import RTX, TENSORRT
from edgerecon.engines.tensorrt.engine_file import EngineFacts, Shapes, cache_path, write_engine
from edgerecon.modelfile.file import ModelFile, read_model
from tests.engines.test_temporal import temporal
from tests.support import fake_gpu, hand_made

PLAN = b"an engine"


class Machine:
    """A GPU with TensorRT and a model, and how often an engine was built."""

    def __init__(self, model: Path, patch: pytest.MonkeyPatch, *, rtx: bool) -> None:
        self.file = read_model(model)
        self.fake = fake_gpu.FakeGpu()
        self.trt = fake_gpu.fake_tensorrt(self.fake, self.file.content, rtx=rtx)
        self.builds: list[str | None] = []
        name = RTX if rtx else TENSORRT
        for module in (build, tensorrt):
            patch.setattr(module, "load_runtime", lambda wanted: {name: self.trt}[wanted])
        for module in (build, builder):
            patch.setattr(module, "installed", lambda: (name,))
        patch.setattr(tensorrt, "open_gpu", lambda device=None: self.fake.gpu)
        patch.setattr(cuda_driver, "_library", self.fake.library)
        patch.setattr(build, "build_engine", self._build)

    def _build(
        self, trt: Any, file: ModelFile, shapes: Shapes, capability: str | None = None, timing: bytes = b""
    ) -> Any:
        assert trt is self.trt and file.content == self.file.content
        assert self.fake.stack or capability, "TensorRT times kernels on the GPU that is current"
        self.builds.append(capability)
        return PLAN, timing + b"timed;"

    def open(self) -> Any:
        return tensorrt.open_model(self.file, None, 2, self.file.spec.precision)


@pytest.fixture(params=["tensorrt", "rtx"])
def machine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setenv("EDGERECON_CACHE", str(tmp_path / "cache"))
    model = hand_made.fp32(tmp_path / "net.onnx")
    made = Machine(model, monkeypatch, rtx=request.param == "rtx")
    yield made
    gc.collect()
    assert made.fake.stack == [] and made.fake.memory == {} and made.fake.graphs == {}


def _frame(shape: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(shape[0]).random(shape, dtype=np.float32)


def test_frames_of_any_size_as_onnxruntime_has_them(machine: Machine) -> None:
    reference = open_engine(machine.file.path, "onnxruntime", threads=1)
    engine = machine.open()
    for shape in ((16, 16), (1, 1), (7, 5), (16, 16), (33, 64)):
        for seed in range(3):
            frame = np.roll(_frame(shape), seed)
            np.testing.assert_array_equal(engine.run(frame), reference.run(frame))
    assert (engine.spec.backend, engine.spec.precision, engine.spec.threads) == ("tensorrt", "fp32", 1)
    engine.close()


def test_a_frame_is_one_launch_and_one_wait(machine: Machine) -> None:
    engine = machine.open()
    frame, out = _frame((16, 16)), np.empty((16, 16), np.float32)
    engine.run(frame, out)
    machine.fake.calls.clear()
    for _ in range(3):
        engine.run(frame, out)
    assert machine.fake.calls == ["cuGraphLaunch", "cuStreamSynchronize"] * 3
    engine.close()


def test_another_size_frees_the_memory_of_the_last(machine: Machine) -> None:
    engine = machine.open()
    for side in (8, 32, 16):
        engine.run(_frame((side, side)))
        gc.collect()
        assert sorted(buffer.size for buffer in machine.fake.memory.values()) == [side * side] * 2
        assert len(machine.fake.graphs) == 1
    engine.close()
    assert machine.fake.memory == {} and machine.fake.graphs == {}
    with pytest.raises(EngineError, match="closed"):
        engine.run(_frame((8, 8)))
    engine.close()


def test_any_thread_may_run_it(machine: Machine) -> None:
    engine = machine.open()
    frame = _frame((8, 8))
    expected = engine.run(frame)
    found: list[np.ndarray] = []
    left: list[int] = []

    def work() -> None:
        found.append(engine.run(frame))
        left.append(len(machine.fake.stack))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    np.testing.assert_array_equal(found[0], expected)
    assert left == [0] == [len(machine.fake.stack)]
    engine.close()


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("set_input_shape", "set_input_shape failed: no reason given"),
        ("execute_async_v3", "execute_async_v3 failed: the GPU has gone$"),
        ("cuMemcpyHtoDAsync", "cuMemcpyHtoDAsync failed: out of memory"),
        ("cuMemcpyDtoHAsync", "cuMemcpyDtoHAsync failed: out of memory"),
    ],
)
def test_a_call_that_fails_is_named_and_the_engine_goes_on(machine: Machine, call: str, reason: str) -> None:
    engine = machine.open()
    frame = _frame((8, 8))
    machine.fake.failing[call] = 1
    for _ in range(2):
        with pytest.raises(EngineError, match=f"^tensorrt failed on a 8×8 frame: {reason}"):
            engine.run(frame)
    assert machine.fake.stack == []
    machine.fake.failing.clear()
    np.testing.assert_array_equal(engine.run(frame), open_engine(machine.file.path, "onnxruntime").run(frame))
    engine.close()


def test_a_launch_that_fails(machine: Machine) -> None:
    engine = machine.open()
    frame = _frame((8, 8))
    engine.run(frame)
    machine.fake.failing["cuGraphLaunch"] = 201
    with pytest.raises(EngineError, match="8×8 frame: cuGraphLaunch failed: invalid device context$"):
        engine.run(frame)
    machine.fake.failing.clear()
    assert np.isfinite(engine.run(frame)).all()
    engine.close()


@pytest.mark.parametrize("call", ["cuStreamBeginCapture_v2", "cuGraphInstantiateWithFlags"])
def test_without_a_graph_it_runs_piece_by_piece(machine: Machine, caplog: pytest.LogCaptureFixture, call: str) -> None:
    engine = machine.open()
    machine.fake.failing[call] = 901
    frame = _frame((8, 8))
    for _ in range(2):
        np.testing.assert_array_equal(engine.run(frame), open_engine(machine.file.path, "onnxruntime").run(frame))
    assert [record.message for record in caplog.records if "CUDA graph" in record.message] == [
        f"hand runs without a CUDA graph: {call} failed: operation not permitted when stream is capturing"
    ]
    assert "cuGraphLaunch" not in machine.fake.calls
    engine.close()


def test_frames_that_the_engine_does_not_take(machine: Machine) -> None:
    facts = replace(_facts(machine), shapes=Shapes((4, 4), (8, 8), (16, 32)))
    write_engine(machine.file.path.with_name("net.small.engine"), facts, PLAN)
    engine = machine.open()
    for shape in ((2, 8), (18, 8), (8, 34), (17, 8)):
        with pytest.raises(EngineError, match=r"takes frames of min 4×4, opt 8×8, max 16×32: build another"):
            engine.run(_frame(shape))
    assert engine.run(_frame((15, 31))).shape == (15, 31)
    engine.close()


def _facts(machine: Machine) -> EngineFacts:
    target = build.host_targets(machine.fake.gpu)[0]
    return build.engine_facts(machine.file, target, Shapes())


def test_it_is_built_once(machine: Machine) -> None:
    for _ in range(2):
        machine.open().close()
    assert machine.builds == [None if machine.trt.__name__ == TENSORRT else "8.6"]
    assert machine.trt.deserialised == [PLAN, PLAN]
    assert cache_path(machine.file.path, _facts(machine)).is_file()


def test_an_engine_beside_the_model_is_taken(machine: Machine) -> None:
    facts = replace(_facts(machine), shapes=Shapes((2, 2), (64, 64), (64, 64)))
    write_engine(machine.file.path.with_name("net.mine.engine"), facts, b"shipped")
    engine = machine.open()
    assert machine.builds == [] and machine.trt.deserialised == [b"shipped"]
    assert engine.facts == facts
    engine.close()


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"version": "9.1"}, "9.1, and here"), ({"model": "0" * 64}, "model"), ({"compute_capability": "8.9"}, "8.6")],
)
def test_a_foreign_engine_never_reaches_the_runtime(
    machine: Machine, caplog: pytest.LogCaptureFixture, change: dict[str, str], reason: str
) -> None:
    write_engine(machine.file.path.with_name("net.b.engine"), replace(_facts(machine), **change), b"foreign")  # type: ignore[arg-type]
    damaged = machine.file.path.with_name("net.c.engine")
    damaged.write_bytes(machine.file.path.with_name("net.b.engine").read_bytes()[:-1])
    machine.open().close()
    assert machine.trt.deserialised == [PLAN] and len(machine.builds) == 1
    messages = [record.message for record in caplog.records if "is refused" in record.message]
    assert len(messages) == 2 and any(reason in message for message in messages)
    assert any("cut short" in message for message in messages)


def test_a_damaged_engine_of_the_cache_is_built_again(machine: Machine) -> None:
    machine.open().close()
    path = cache_path(machine.file.path, _facts(machine))
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    machine.open().close()
    assert len(machine.builds) == 2 and machine.trt.deserialised == [PLAN, PLAN]


def test_a_cache_that_cannot_be_written_stops_nothing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGERECON_CACHE", str(tmp_path / "file" / "cache"))
    engine = machine.open()
    assert engine.run(_frame((8, 8))).shape == (8, 8)
    assert any("is not kept and will be built again: cannot write" in record.message for record in caplog.records)
    engine.close()


@pytest.mark.parametrize("machine", ["tensorrt"], indirect=True)
def test_what_the_builder_timed_is_given_back_to_it(machine: Machine) -> None:
    target = build.host_targets(machine.fake.gpu)[0]
    for side in (64, 128):
        build.obtain(machine.file, target, Shapes(opt=(side, side)))
    kept = list((machine.file.path.parent / "cache").glob("*.timing"))
    assert [path.name for path in kept] == ["tensorrt-10.3.0-NVIDIA-Fake.timing"]
    assert kept[0].read_bytes().endswith(b"timed;timed;")


@pytest.mark.parametrize("machine", ["rtx"], indirect=True)
def test_rtx_keeps_the_kernels_it_compiled(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        engine = machine.open()
        engine.run(_frame((8, 8)))
        engine.close()
    configs = machine.trt.configs
    assert [config.dynamic_shapes_kernel_specialization_strategy for config in configs] == ["eager"] * 2
    assert machine.trt.loaded == [b"kernels, compiled"] and configs[1].store.content == b"kernels, compiled"


@pytest.mark.parametrize("machine", ["rtx"], indirect=True)
def test_rtx_that_cannot_record(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    machine.fake.failing["is_stream_capturable"] = 1
    engine = machine.open()
    assert engine.run(_frame((8, 8))).shape == (8, 8)
    assert "cuStreamBeginCapture_v2" not in machine.fake.calls and "cannot record" in caplog.text
    engine.close()


def test_an_engine_that_the_runtime_refuses(machine: Machine) -> None:
    machine.fake.failing["deserialize_cuda_engine"] = 1
    with pytest.raises(EngineError, match="deserialize_cuda_engine failed: no reason given"):
        machine.open()


def test_times_of_the_stages(machine: Machine) -> None:
    engine = machine.open()
    with pytest.raises(EngineError, match="run a frame first"):
        engine.stage_times()
    engine.run(_frame((8, 8)))
    assert list(engine.stage_times()) == ["to_device", "compute", "to_host"]
    assert all(value > 0 for value in engine.stage_times().values())
    machine.fake.failing["execute_async_v3"] = 1
    with pytest.raises(EngineError, match="the stages cannot be timed: execute_async_v3 failed: .*the GPU has gone"):
        engine.stage_times()
    engine.close()


def test_a_gpu_that_rtx_does_not_know(machine: Machine) -> None:
    machine.fake.gpu.compute_capability = "9.0"
    if machine.trt.__name__ == TENSORRT:
        assert build.host_targets(machine.fake.gpu)[0].runtime == TENSORRT
        return
    with pytest.raises(EngineError, match=r"no engine for NVIDIA Fake: TensorRT-RTX .* capabilities 8\.6, not 9\.0"):
        machine.open()


@pytest.mark.parametrize("machine", ["tensorrt"], indirect=True)
def test_the_benchmark_of_engines(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs through where a GPU is, finds an exact engine exact, and states what failed instead of stopping."""
    import json

    from bench import gpu_engines as bench

    unsigned = hand_made.int8(machine.file.path.with_name("bad.onnx"), "unsigned")
    monkeypatch.setattr(bench, "STAGE_RUNS", 3)
    monkeypatch.setattr(bench, "cine", lambda: [_frame((24, 32))])
    monkeypatch.setattr(bench, "noise", lambda: [_frame((7, 5))])
    real_open = open_engine
    monkeypatch.setattr(
        bench, "open_engine", lambda model, *rest: real_open(machine.file.path if model == "hand" else model, *rest)
    )
    machine.fake.failing.clear()

    def refuse(*arguments: object, **named: object) -> Any:
        raise UsageError("not this one")

    real_build = build.build_engine
    monkeypatch.setattr(
        build,
        "build_engine",
        lambda trt, file, *rest, **named: refuse() if file.path == unsigned else real_build(trt, file, *rest, **named),
    )
    cpu, exact, failed = bench.measure([machine.file.path, unsigned], (16, 16), 0.05)
    assert (cpu["backend"], cpu["speed"]) == ("onnxruntime", 1.0)
    assert exact["status"] == "ok" and exact["max_abs_error"] == 0
    assert exact["error_same_file"] == {"random": 0, "real": 0}
    assert exact["latency_ms"]["p99"] >= exact["latency_ms"]["p50"] > 0
    assert list(exact["stages_ms"]) == ["to_device", "compute", "to_host"] and exact["graph"]
    assert failed["status"] == "not this one" and failed["latency_ms"] == {}
    assert json.dumps([cpu, exact, failed])


@pytest.mark.parametrize("graphs", [True, False])
def test_the_state_stays_on_the_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, graphs: bool) -> None:
    monkeypatch.setenv("EDGERECON_CACHE", str(tmp_path / "cache"))
    machine = Machine(temporal(tmp_path / "net.onnx"), monkeypatch, rtx=True)
    if not graphs:
        machine.fake.failing["is_stream_capturable"] = 1
    reference, engine = open_engine(machine.file.path, "onnxruntime", threads=1), machine.open()
    for shape in ((16, 16), (7, 5), (16, 16)):
        for count in (1, 2, 3):  # resets after an odd and an even number of frames
            for seed in range(count):
                frame = np.roll(_frame(shape), seed)
                np.testing.assert_array_equal(engine.run(frame), reference.run(frame))
            engine.reset()
            reference.reset()
    machine.fake.calls.clear()
    engine.run(frame)
    assert ("cuGraphLaunch" in machine.fake.calls) is graphs
    if graphs:
        assert not [call for call in machine.fake.calls if "cpy" in call], "everything is in the recorded graph"
    engine.close()
    del engine
    gc.collect()
    assert machine.fake.memory == {} and machine.fake.graphs == {}

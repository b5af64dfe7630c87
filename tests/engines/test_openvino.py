"""OpenVINO: the arithmetic that was asked for, on the host's own buffers."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from edgerecon.core.errors import EngineError, ModelError, UsageError
from edgerecon.engines import open_engine
from edgerecon.engines import openvino as backend
from edgerecon.modelfile.file import read_model
from tests.support import hand_made

pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hand_made.fp32(tmp_path_factory.mktemp("m") / "net.onnx")


def _compiled(engine: Any, size: int = 16) -> Any:
    engine.run(np.full((size, size), 0.5, np.float32))
    return engine._requests[0].get_compiled_model()


def _pretend(monkeypatch: pytest.MonkeyPatch, *features: str) -> None:
    monkeypatch.setattr(backend, "host_profile", lambda: {"cpu_features": list(features)})


def test_settings_are_explicit(network: Path) -> None:
    compiled = _compiled(open_engine(network, "openvino", threads=1))
    found = {key: compiled.get_property(key) for key in ("INFERENCE_NUM_THREADS", "NUM_STREAMS", "ENABLE_CPU_PINNING")}
    assert found == {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
    assert compiled.get_property("INFERENCE_PRECISION_HINT").to_dtype() == np.float32
    assert "LATENCY" in str(compiled.get_property("PERFORMANCE_HINT"))


@pytest.mark.parametrize("precision", ["fp16", "unsigned"])
def test_never_the_f16_hint(tmp_path: Path, precision: str) -> None:
    path = (
        hand_made.fp16(tmp_path / "a.onnx") if precision == "fp16" else hand_made.int8(tmp_path / "a.onnx", precision)
    )
    compiled = _compiled(open_engine(path, "openvino", threads=1))
    assert compiled.get_property("INFERENCE_PRECISION_HINT").to_dtype() == np.float32


def test_int8_files_run_in_int8(tmp_path: Path) -> None:
    def types(path: Path) -> set[str]:
        operations = _compiled(open_engine(path, "openvino", threads=1), 64).get_runtime_model().get_ops()
        facts = [operation.get_rt_info() for operation in operations]
        return {str(f["runtimePrecision"].value) for f in facts if f["layerType"].value == "Convolution"}

    assert set() < types(hand_made.int8(tmp_path / "i.onnx", "unsigned")) <= {"u8", "i8"}
    assert types(hand_made.fp32(tmp_path / "f.onnx")) == {"f32"}


def test_the_buffers_are_the_hosts(network: Path) -> None:
    engine: Any = open_engine(network, "openvino", threads=1)
    _compiled(engine)
    assert np.shares_memory(engine._requests[0].get_input_tensor().data, engine._input)
    assert np.shares_memory(engine._requests[0].get_output_tensor().data, engine._output)


@pytest.mark.parametrize("shape", [(256, 320), (255, 319)])
def test_nothing_is_allocated_after_warm_up(network: Path, shape: tuple[int, int]) -> None:
    engine = open_engine(network, "openvino", threads=1)
    frame, out = np.full(shape, 0.3, np.float32), np.empty(shape, np.float32)
    for _ in range(3):
        engine.run(frame, out)
    tracemalloc.start()
    for _ in range(5):
        engine.run(frame, out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 65_536 < frame.nbytes  # numpy takes a fixed 32 kB for strided arrays


def test_the_model_comes_from_the_checked_bytes(network: Path, tmp_path: Path) -> None:
    path = tmp_path / "gone.onnx"
    path.write_bytes(network.read_bytes())
    file = read_model(path)
    path.write_bytes(b"something else")
    frame = np.full((6, 8), 0.4, np.float32)
    found = backend.open_model(file, None, 1, "fp32").run(frame)
    np.testing.assert_array_equal(found, open_engine(network, "openvino", threads=1).run(frame))


@pytest.mark.parametrize("features", [(), ("avx2",), ("avx2", "avx512f", "avx512_vnni")])
def test_bf16_needs_a_cpu_that_has_it(
    network: Path, monkeypatch: pytest.MonkeyPatch, features: tuple[str, ...]
) -> None:
    _pretend(monkeypatch, *features)
    with pytest.raises(EngineError, match="no bf16 arithmetic .*avx512_bf16 or amx_bf16"):
        open_engine(network, "openvino", "bf16", threads=1)


def test_bf16_needs_a_runtime_that_uses_it(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import openvino

    class Core:
        """Of a build without bf16."""

        available_devices = ("CPU",)

        def get_property(self, device: str, key: str) -> list[str]:
            assert (device, key) == ("CPU", "OPTIMIZATION_CAPABILITIES")
            return ["FP32", "INT8"]

    _pretend(monkeypatch, "avx512f", "avx512_bf16")
    monkeypatch.setattr(openvino, "Core", Core)
    with pytest.raises(EngineError, match="no bf16 arithmetic"):
        open_engine(network, "openvino", "bf16", threads=1)


def test_bf16_is_asked_of_the_runtime(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import openvino

    class Core(openvino.Core):
        """Of a CPU with bf16, whatever this one is."""

        def get_property(self, device: str, key: str) -> list[str]:
            return ["FP32", "BF16"]

        def compile_model(self, model: object, device: str, settings: dict[str, object]) -> None:
            asked.update(settings)
            raise RuntimeError("seen enough")

    asked: dict[str, object] = {}
    _pretend(monkeypatch, "avx512f", "amx_bf16")
    monkeypatch.setattr(openvino, "Core", Core)
    engine = open_engine(network, "openvino", "bf16", threads=1)
    assert engine.spec.precision == "bf16" and engine.spec.model.precision == "fp32"
    with pytest.raises(EngineError, match="seen enough"):
        engine.run(np.zeros((4, 4), np.float32))
    assert asked["INFERENCE_PRECISION_HINT"] == "bf16"


def test_bf16_where_it_is_real(network: Path, rng: np.random.Generator) -> None:
    try:
        engine = open_engine(network, "openvino", "bf16", threads=1)
    except EngineError as error:
        pytest.skip(str(error))
    frame = rng.random((64, 64), dtype=np.float32)
    error = np.abs(engine.run(frame) - open_engine(network, "openvino", threads=1).run(frame)).max()
    assert 1e-6 < error < 0.02  # it is another arithmetic, with 8 bits of mantissa


@pytest.mark.parametrize(
    ("features", "refused"), [(("sse4_2", "avx2"), True), (("sse4_2", "avx_vnni"), False), (("asimd",), False)]
)
def test_signed_int8_where_it_overflows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, features: tuple[str, ...], refused: bool
) -> None:
    path = hand_made.int8(tmp_path / "a.onnx", "signed")
    _pretend(monkeypatch, *features)
    if not refused:
        assert open_engine(path, "openvino", threads=1).spec.model.form == "signed"
        return
    with pytest.raises(EngineError, match="no VNNI: use the unsigned file"):
        open_engine(path, "openvino", threads=1)
    assert open_engine(hand_made.int8(path, "unsigned"), "openvino", threads=1).spec.precision == "int8"


def test_foreign_operators_are_named(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Blur", ["frame"], ["t"], domain="com.acme"),
        helper.make_node("NoSuchOperator", ["t"], ["reconstruction"]),
    ]
    path = hand_made.save(tmp_path / "a.onnx", nodes)
    with pytest.raises(
        ModelError, match=r"openvino has no operator NoSuchOperator.*com\.acme\.Blur.*a\.onnx"
    ) as caught:
        open_engine(path, "openvino")
    assert "\n" not in str(caught.value)


def test_broken_graphs(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["frame", "w"], ["reconstruction"])
    path = hand_made.save(tmp_path / "a.onnx", [node], {"w": np.ones((1, 3, 3, 3), np.float32)})
    with pytest.raises(ModelError, match="corrupt: openvino refuses it") as caught:
        open_engine(path, "openvino")
    assert "\n" not in str(caught.value) and "Exception from" not in str(caught.value)


def test_other_inputs_and_outputs(network: Path, tmp_path: Path) -> None:
    content = network.read_bytes()
    assert content.count(b"frame") >= 3
    path = tmp_path / "a.onnx"
    path.write_bytes(content.replace(b"frame", b"image"))
    with pytest.raises(ModelError, match="inputs and outputs"):
        open_engine(path, "openvino")


def test_a_failure_on_a_frame_is_one_line_and_the_engine_goes_on(tmp_path: Path) -> None:
    shape = np.array([1, 1, -1, 8])
    nodes = [
        helper.make_node("Reshape", ["frame", "shape"], ["r"]),
        helper.make_node("Add", ["frame", "r"], ["reconstruction"]),
    ]
    engine = open_engine(hand_made.save(tmp_path / "a.onnx", nodes, {"shape": shape}), "openvino", threads=1)
    for _ in range(2):
        with pytest.raises(EngineError, match="openvino failed on a 6×6 frame: ") as caught:
            engine.run(np.zeros((6, 6), np.float32))
        assert "\n" not in str(caught.value) and "Exception from" not in str(caught.value)
        assert engine.run(np.full((6, 8), 0.25, np.float32)).max() == 0.5


def test_other_devices(network: Path) -> None:
    with pytest.raises(UsageError, match="has no device 'cuda' here: choose cpu"):
        open_engine(network, "openvino", device="cuda")


def test_a_runtime_that_cannot_be_loaded_is_one_line(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "openvino.py").write_text("raise RuntimeError('Could not determine home directory.')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "openvino")
    with pytest.raises(EngineError, match=r"openvino cannot be loaded \(Could not .*\): take --backend onnxruntime"):
        open_engine(network, "openvino")


SIGNALLED = """
import os, signal, sys
import numpy as np
from edgerecon.engines import open_engine

frame = np.zeros((16, 16), np.float32)
for _ in range(3):
    first, second = (open_engine(sys.argv[1], "openvino", threads=1) for _ in range(2))
    for engine in (first, second):
        engine.run(frame)
    del engine
    first.close()
    del first  # before the second
    second.close()
    del second
heard = []
signal.signal(signal.SIGINT, lambda *_: heard.append(True))
os.kill(os.getpid(), signal.SIGINT)
print(len(heard))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_is_heard_after_engines_were_replaced(network: Path) -> None:
    """OpenVINO takes the stack of signals for itself, and gave back one that it had freed: Ctrl-C ended the process."""
    command = [sys.executable, "-c", SIGNALLED, str(network)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "1"), done.stderr

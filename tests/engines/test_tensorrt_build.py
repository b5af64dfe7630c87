"""What the builder is told and what its reports become, without TensorRT."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgerecon.core.errors import EngineError
from edgerecon.engines.tensorrt import builder as tensorrt_build
from edgerecon.engines.tensorrt.builder import TENSORRT, logger
from edgerecon.engines.tensorrt.engine_file import Shapes
from edgerecon.modelfile.file import read_model
from tests.support import fake_gpu, hand_made


@pytest.mark.parametrize(
    ("report", "line"),
    [
        (
            "a\nI::run: Error Code 4: API Usage Error (x: no such type. In check at /_src/x.cpp:4)",
            "API Usage Error (x: no such type)",
        ),
        (
            "Error Code 1: Cuda Runtime (In open at /_src/c.cpp:25 (cudaError 35: too old))",
            "Cuda Runtime ((cudaError 35: too old))",
        ),
        ("Assertion failed: a  == b: the sizes differ", "a == b: the sizes differ"),
        ("", "no reason given"),
    ],
)
def test_reports_are_cut_to_what_is_wrong(report: str, line: str) -> None:
    assert tensorrt_build.one_line(report) == line


def test_the_first_error_is_the_reason() -> None:
    class Trt:
        class ILogger:
            class Severity:
                INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    log = logger(Trt)
    for severity, message in ((2, "careful"), (1, "first"), (0, "second")):
        log.log(severity, message)
    assert log.reason() == "first"
    assert log.reason() == "no reason given"
    assert logger(Trt) is log


@pytest.mark.parametrize(("version", "fine"), [("8.5.2", False), ("10.3.0", True), ("11.4.0.106", True)])
def test_tensorrt_before_10_is_refused(monkeypatch: pytest.MonkeyPatch, version: str, fine: bool) -> None:
    import sys
    from types import ModuleType

    module = ModuleType("tensorrt")
    module.__version__ = version  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    if fine:
        assert tensorrt_build.load_runtime(TENSORRT) is module
        return
    with pytest.raises(EngineError, match=r"tensorrt 8\.5\.2 is too old: install 10 or later"):
        tensorrt_build.load_runtime(TENSORRT)


@pytest.mark.parametrize("has_flag", [True, False])
def test_networks_are_strongly_typed_and_fp32_is_not_tf32(tmp_path: Path, has_flag: bool) -> None:
    """The calls that differ between TensorRT 10 and 11, on a recorder of calls."""
    from unittest.mock import MagicMock

    fake = fake_gpu.fake_tensorrt(fake_gpu.FakeGpu(), b"")
    trt: Any = SimpleNamespace(ILogger=fake.ILogger, float32="f32", BuilderFlag=SimpleNamespace(TF32="TF32"))
    trt = _Hashable(trt.__dict__ | {"__name__": "tensorrt", "Builder": MagicMock(), "OnnxParser": MagicMock()})
    trt.NetworkDefinitionCreationFlag = SimpleNamespace(**({"STRONGLY_TYPED": 1} if has_flag else {}))
    builder = trt.Builder.return_value
    network = builder.create_network.return_value
    network.num_inputs = network.num_outputs = 1
    for port, name in ((network.get_input, "frame"), (network.get_output, "reconstruction")):
        port.return_value = SimpleNamespace(name=name, dtype="f32", shape=(1, 1, -1, -1))
    builder.build_serialized_network.return_value = b"plan"
    config = builder.create_builder_config.return_value
    config.get_timing_cache.return_value.serialize.return_value = b"learnt"
    file = read_model(hand_made.fp32(tmp_path / "net.onnx"))
    shapes = Shapes((2, 2), (4, 6), (8, 8))
    assert tensorrt_build.build_engine(trt, file, shapes, timing=b"known") == (b"plan", b"learnt")
    builder.create_network.assert_called_once_with(2 if has_flag else 0)
    config.clear_flag.assert_called_once_with("TF32")
    config.create_timing_cache.assert_called_once_with(b"known")
    builder.create_optimization_profile.return_value.set_shape.assert_called_once_with(
        "frame", (1, 1, 2, 2), (1, 1, 4, 6), (1, 1, 8, 8)
    )
    config.set_compute_capability.assert_not_called()


class _Hashable:
    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)

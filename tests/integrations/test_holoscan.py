"""The Holoscan operator: within the SDK where it is installed, else with a stand-in for its operator."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

FRAME = np.random.default_rng(3).integers(0, 256, (24, 32), np.uint8)


class Operator:
    """holoscan.core.Operator: it is set up when it is made."""

    def __init__(self, fragment: Any, *args: Any, **kwargs: Any) -> None:
        self.ports: list[str] = []
        self.setup(SimpleNamespace(input=self.ports.append, output=self.ports.append))

    def setup(self, spec: Any) -> None: ...


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    core = ModuleType("holoscan.core")
    vars(core).update({"Operator": Operator, "OperatorSpec": object})
    monkeypatch.setitem(sys.modules, "holoscan", ModuleType("holoscan"))
    monkeypatch.setitem(sys.modules, "holoscan.core", core)
    yield importlib.import_module("edgerecon.integrations.holoscan")
    del sys.modules["edgerecon.integrations.holoscan"]


def test_operator_emits_a_picture_for_each_frame(module: ModuleType) -> None:
    operator = module.ReconstructOp(None, model="compact-despeckle-small", backend="onnxruntime", protect="none")
    emitted: list[tuple[np.ndarray, str]] = []
    output = SimpleNamespace(emit=lambda value, port: emitted.append((value, port)))
    operator.start()
    for message in (FRAME, {"tensor": FRAME}):
        operator.compute(SimpleNamespace(receive=lambda port, message=message: message), output, None)
    operator.stop()
    assert operator.ports == ["frame", "picture"] and [port for _, port in emitted] == ["picture"] * 2
    assert np.array_equal(emitted[0][0], emitted[1][0]) and not np.array_equal(emitted[0][0], FRAME)
    assert emitted[0][0].dtype == np.uint8 and emitted[0][0].shape == FRAME.shape

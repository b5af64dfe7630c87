"""Where a model runs: the devices of a runtime, and the parity run before one is used."""

from __future__ import annotations

import numpy as np
import pytest

from edgerecon.core.errors import EngineError, UsageError
from edgerecon.engines import device_parity, open_engine
from edgerecon.engines.onnxruntime import PROVIDERS

FRAME = np.random.default_rng(0).random((40, 56), dtype=np.float32)


def test_openvino_chooses_among_its_devices() -> None:
    reference = open_engine("compact-fpga", "openvino").run(FRAME)
    assert np.abs(open_engine("compact-fpga", "openvino", device="AUTO").run(FRAME) - reference).max() < 1e-3


@pytest.mark.parametrize("device", ["cuda", "tensorrt", "coreml", "directml", "qnn"])
def test_absent_provider_is_named(device: str) -> None:
    import onnxruntime

    if PROVIDERS[device] in onnxruntime.get_available_providers():
        pytest.skip(f"this package of ONNX Runtime brings {device}")
    with pytest.raises(UsageError, match=f"no device '{device}' here: install the onnxruntime package"):
        open_engine("compact-fpga", "onnxruntime", device=device)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_unknown_device_is_refused(backend: str) -> None:
    with pytest.raises(UsageError, match="has no device 'tpu' here"):
        open_engine("compact-fpga", backend, device="tpu")


def test_auto_takes_the_backend_that_has_the_device() -> None:
    assert open_engine("compact-fpga", "auto", device="auto").spec.backend == "openvino"
    with pytest.raises(UsageError, match="none of .* has a device 'tpu' here"):
        open_engine("compact-fpga", "auto", device="tpu")


def test_device_that_differs_from_the_cpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_parity, "TOLERANCE", -1.0)
    with pytest.raises(EngineError, match="differs from the CPU"):
        open_engine("compact-fpga", "openvino", device="auto")
    open_engine("compact-fpga", "openvino", device="cpu").close()

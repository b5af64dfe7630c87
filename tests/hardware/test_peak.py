"""The host's roof: the right work is timed, every candidate in turn, once a process. Never how long it takes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from edgerecon.hardware import peak as host_peak


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch):
    """Small matrices and arrays, no more rounds than needed."""
    monkeypatch.setattr(host_peak, "SIDE", 64)
    monkeypatch.setattr(host_peak, "COPY_BYTES", 1 << 16)
    monkeypatch.setattr(host_peak, "SECONDS", 0.0)
    host_peak.measure_host.cache_clear()
    yield
    host_peak.measure_host.cache_clear()


def test_figures_are_positive_and_measured_once() -> None:
    first = host_peak.measure_host()
    assert set(first.peak) == {"fp32", "int8"} and first.threads >= 1
    assert all(0 < rate < 1e7 for rate in first.peak.values()) and 0 < first.bandwidth_gbs < 1e5
    assert host_peak.measure_host() is first


def test_rates_follow_from_operations_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_peak, "_best", lambda runs: {"fp32": 1e-3, "int8": 5e-4, "copy": 1e-4})
    found = host_peak.measure_host()
    assert found.peak == pytest.approx({"fp32": 2 * 64**3 / 1e6, "int8": 2 * 64**3 / 5e5})
    assert found.bandwidth_gbs == pytest.approx(2 * (1 << 16) / 1e5)


def test_best_takes_turns_and_keeps_the_shortest(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, *(t for a in (3, 5, 2, 7, 4, 1) for t in (0.0, 0.0 + a)), *[0.0] * 99])
    times: list[float] = []
    order: list[str] = []

    def tick() -> float:
        times.append(next(clock))
        return times[-1]

    monkeypatch.setattr(host_peak, "SECONDS", -1.0)
    monkeypatch.setattr(host_peak.time, "perf_counter", tick)
    best = host_peak._best({name: lambda name=name: order.append(name) for name in "ab"})
    assert best == {"a": 2.0, "b": 1.0}
    assert len(order) == 2 * (host_peak.AT_LEAST + 1) and all(x != y for x, y in pairwise(order))


def test_integer_model_is_valid_and_multiplies_as_numpy_does() -> None:
    content = host_peak.integer_product_model()
    model = onnx.load_model_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["MatMulInteger"]
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 128, (5, 7), dtype=np.uint8), rng.integers(-64, 64, (7, 3), dtype=np.int8)
    (found,) = session.run(None, {"a": a, "b": b})
    np.testing.assert_array_equal(found, a.astype(np.int32) @ b.astype(np.int32))


@pytest.mark.parametrize("threads", [1, 3])
def test_copy_covers_every_byte(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[int] = []
    real = np.copyto

    def counting(target: np.ndarray, source: np.ndarray) -> None:
        copied.append(source.nbytes)
        real(target, source)

    monkeypatch.setattr(host_peak.np, "copyto", counting)
    with ThreadPoolExecutor(threads) as pool:
        host_peak._copy(pool, threads)()
    assert sum(copied) == host_peak.COPY_BYTES and len(copied) == threads

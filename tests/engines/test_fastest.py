"""``auto`` takes our own engine where it was measured faster, says so, and remembers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.cache import cache_folder
from edgerecon.core.errors import EngineError
from edgerecon.engines import fastest, open_engine
from edgerecon.engines.base import Engine
from tests.support import hand_made

Measured = list[float]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Measured:
    """What a measurement gives, the last number for all that follow; made-up, since a loaded machine gives anything."""
    factors: Measured = [2.5]

    def speed(ours: Engine, theirs: Engine) -> float:
        assert (ours.spec.backend, theirs.spec.backend) == ("native", "openvino")
        return factors.pop(0) if factors else pytest.fail("measured again")

    monkeypatch.setattr(fastest, "speed", speed)
    return factors


@pytest.fixture
def own_answers(native: None) -> None:
    (cache_folder() / fastest.REMEMBERED).unlink(missing_ok=True)


def test_the_faster_one_is_taken_and_remembered(own_answers: None, measured: Measured) -> None:
    for _ in range(2):
        spec = open_engine("compact-despeckle", threads=1).spec
        assert (spec.backend, spec.why) == ("native", "2.5× as fast as openvino here, measured at first use")


def test_a_slower_one_is_left(own_answers: None, measured: Measured) -> None:
    measured[:] = [0.5]
    for _ in range(2):
        spec = open_engine("compact-despeckle", threads=1).spec
        assert (spec.backend, spec.why) == ("openvino", "2× as fast as native here, measured at first use")


def test_every_model_and_thread_count_has_its_answer(own_answers: None, measured: Measured) -> None:
    measured[:] = [2.0, 0.5, 3.0]
    ways = (("compact-despeckle", 1), ("compact-despeckle", 2), ("compact-despeckle-small", 1))
    found = [open_engine(name, threads=threads).spec.backend for name, threads in ways]
    assert found == ["native", "openvino", "native"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": "b"}', b'{"a": null}', b"\xff"])
def test_a_damaged_memory_is_measured_anew(own_answers: None, measured: Measured, content: bytes) -> None:
    (cache_folder() / fastest.REMEMBERED).write_bytes(content)
    assert open_engine("compact-despeckle", threads=1).spec.backend == "native"
    assert list(json.loads((cache_folder() / fastest.REMEMBERED).read_text()).values()) == [2.5]


def test_a_cache_that_cannot_be_written_changes_nothing(
    own_answers: None, measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fastest, "REMEMBERED", "absent/fastest.json")
    assert open_engine("compact-despeckle", threads=1).spec.backend == "native"


def test_what_has_no_kernels_is_taken_over(
    own_answers: None, measured: Measured, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from onnx import helper

    path = hand_made.save(tmp_path / "net.onnx", [helper.make_node("Sigmoid", ["frame"], ["reconstruction"])], {})
    with caplog.at_level("INFO", "edgerecon"):
        assert open_engine(path, threads=1).spec.backend == "openvino"
    assert "backend native has no operator Sigmoid: use backend onnxruntime; backend openvino takes over" in caplog.text


def test_a_failure_while_measuring_is_taken_over(
    own_answers: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(ours: Engine, theirs: Engine) -> float:
        raise EngineError("native failed on a frame")

    monkeypatch.setattr(fastest, "speed", fails)
    assert open_engine("compact-despeckle", threads=1).spec.backend == "openvino"
    assert "native failed on a frame; backend openvino takes over" in caplog.text


def test_speed_is_a_ratio_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0]
    monkeypatch.setattr("time.perf_counter_ns", lambda: now[0])

    def taking(nanoseconds: int) -> Callable[..., np.ndarray]:
        def run(frame: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
            now[0] += nanoseconds
            return frame

        return run

    ours, theirs = (type("Fake", (), {"run": staticmethod(taking(ns))})() for ns in (10, 40))
    assert fastest.speed(ours, theirs) == 4


def test_int16_runs_on_native_alone(own_answers: None) -> None:
    assert open_engine("compact-despeckle-small", precision="int16", threads=1).spec.backend == "native"

"""Streaming as proof: what is too slow is found out soon, what is lost never comes."""

from __future__ import annotations

import math
import signal
import threading
import time
from typing import Any, cast

import numpy as np
import pytest

from edgerecon.core.shipped import resource_dir
from edgerecon.deploy.fit import proof
from edgerecon.deploy.fit.candidates import Candidate
from edgerecon.deploy.fit.proof import sample_frames, stream_p99

FRAMES = [np.full((16, 16), 100, np.uint8)]


class _Slow(Candidate):
    """The shipped network, whose runs take so many milliseconds more, or fail."""

    extra_ms = 0.0
    fails = False

    def open(self) -> Any:
        engine = cast(Any, super().open())
        run = engine.run

        def slow(*arguments: Any) -> Any:
            time.sleep(type(self).extra_ms / 1e3)
            if type(self).fails:
                raise ValueError("no")
            return run(*arguments)

        engine.run = slow
        return engine


@pytest.fixture
def candidate(monkeypatch: pytest.MonkeyPatch) -> Candidate:
    monkeypatch.setattr(_Slow, "extra_ms", 0.0)
    path = resource_dir("export") / "compact-despeckle.onnx"
    return _Slow(path, "fp32", "onnxruntime", 1, 28.0, 0.8, 0.7, 2592.0)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four frames a second, of which a busy machine loses none."""
    monkeypatch.setattr(proof, "PERIOD_S", 0.25)
    monkeypatch.setattr(proof._Cine, "period_s", 0.25)


def test_the_p99_is_of_the_stream(candidate: Candidate, unhurried: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Slow, "extra_ms", 8.0)
    p99 = stream_p99(candidate, FRAMES, 1000.0, 0.5)
    assert 8.0 <= p99 < 1000


@pytest.mark.parametrize("extra_ms", [5.0, 100.0])
def test_what_cannot_hold_any_more_is_stopped(
    extra_ms: float, candidate: Candidate, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(_Slow, "extra_ms", extra_ms)
    if extra_ms == 5.0:
        request.getfixturevalue("unhurried")
    shown: list[bool] = []
    present = proof._Judge.present

    def count(self: proof._Judge, before: Any, after: Any, late: bool) -> None:
        shown.append(late)
        present(self, before, after, late)

    monkeypatch.setattr(proof._Judge, "present", count)
    p99 = stream_p99(candidate, FRAMES, 0.5 if extra_ms == 5.0 else 500.0, 30.0)
    if extra_ms == 5.0:  # late, but all there
        assert 0.5 < p99 < math.inf and all(shown) and len(shown) < 30
    else:  # never late, but two of three are overtaken
        assert p99 == math.inf and len(shown) < 30


def test_ctrl_c_ends_the_search_and_not_the_stream_alone(candidate: Candidate, monkeypatch: pytest.MonkeyPatch) -> None:
    pressed = threading.Event()

    def press(*_: object) -> None:
        if not pressed.is_set():  # once: a later one would meet pytest instead of the search
            pressed.set()
            signal.pthread_kill(cast(int, threading.main_thread().ident), signal.SIGINT)  # it wakes a thread that waits

    monkeypatch.setattr(proof._Judge, "present", press)
    with pytest.raises(KeyboardInterrupt):
        stream_p99(candidate, FRAMES, 1000.0, 30.0)


def test_lost_frames_never_come(candidate: Candidate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Slow, "fails", True)
    assert stream_p99(candidate, FRAMES, 1000.0, 0.3) == math.inf


def test_the_frames_are_the_built_in_cine() -> None:
    frames = sample_frames((48, 80))
    assert len(frames) > 10 and {frame.shape[:2] for frame in frames} == {(48, 80)} and frames[0].dtype == np.uint8

"""The harness against engines whose times are known, on a clock of the test's own; and workers that misbehave."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgerecon.bench import worker as worker_module
from edgerecon.bench.rounds import RowTimes, run_rounds
from edgerecon.bench.worker import ANSWERS, Worker
from edgerecon.bench.worker_client import WorkerClient
from edgerecon.core.errors import EngineError
from edgerecon.core.frame import Image
from edgerecon.measure.bootstrap import percentile_interval, ratio_samples
from edgerecon.measure.noise import Calibration

FRAMES = np.random.default_rng(0).integers(0, 256, (2, 8, 8), np.uint8)


class Clock:
    """Time passes only when an engine says so."""

    def __init__(self) -> None:
        self.ns = 0

    def perf_counter_ns(self) -> int:
        return self.ns

    def perf_counter(self) -> float:
        return self.ns / 1e9


class Delayed:
    """An engine that takes given times, in turn."""

    def __init__(self, clock: Clock, delays_ms: np.ndarray) -> None:
        self._clock, self._delays, self.calls = clock, delays_ms, 0

    def run(self, frame: Image, out: Image | None = None) -> Image:
        self._clock.ns += round(float(self._delays[self.calls % len(self._delays)]) * 1e6)
        self.calls += 1
        return frame.copy() if out is None else out


class InProcess:
    """A remote whose worker is here; fails at the given call."""

    def __init__(self, engine: Delayed, fails_at: int = 10**9) -> None:
        self._worker, self._left = Worker(), fails_at
        self._worker.hold(engine, FRAMES)  # type: ignore[arg-type]
        engine.calls = 0

    def ask(self, do: str, **arguments: int) -> dict[str, object]:
        self._left -= 1
        if self._left < 0:
            raise EngineError("the process crashed (SIGSEGV)")
        return json.loads(json.dumps(getattr(self._worker, do)(**arguments)))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(worker_module, "time", made)
    return made


def distributions() -> Iterator[tuple[str, np.ndarray]]:
    rng = np.random.default_rng(3)
    yield "constant", np.full(4000, 3.0)
    yield "bimodal", np.where(rng.random(4000) < 0.9, 2.0, 9.0)
    yield "heavy-tailed", 1.0 + rng.pareto(2.5, 4000)


@pytest.mark.parametrize(("name", "delays"), distributions())
def test_percentiles_are_those_of_the_engine(name: str, delays: np.ndarray, clock: Clock) -> None:
    engine = Delayed(clock, delays)
    turns = RowTimes(InProcess(engine))  # type: ignore[arg-type]
    run_rounds([turns], 4.0, Calibration(), lambda done, total: None)
    times = np.concatenate(turns.blocks).sum(axis=1)
    taken = delays[np.arange(3, 3 + len(times)) % len(delays)]  # three calls warmed up
    assert len(times) > 500
    for q in (50, 90, 99):
        truth = np.percentile(taken, q, method="higher")
        assert np.percentile(times, q, method="higher") == pytest.approx(truth, rel=0.02, abs=0.02), (name, q)


def test_a_row_that_dies_leaves_the_others(clock: Clock) -> None:
    sound = RowTimes(InProcess(Delayed(clock, np.full(5, 2.0))))  # type: ignore[arg-type]
    dying = RowTimes(InProcess(Delayed(clock, np.full(5, 2.0)), fails_at=4))  # type: ignore[arg-type]
    stillborn = RowTimes(InProcess(Delayed(clock, np.full(5, 2.0)), fails_at=0))  # type: ignore[arg-type]
    run_rounds([sound, dying, stillborn], 0.5, Calibration(), lambda done, total: None)
    assert sound.error is None and len(sound.blocks) == 25
    assert dying.error == stillborn.error == "the process crashed (SIGSEGV)"
    assert len(dying.blocks) == 3 and not stillborn.blocks


def test_ratios_hold_whatever_drifts() -> None:
    """The host slows down threefold half-way: the ratio of two rows in the same rounds does not notice."""
    rng = np.random.default_rng(1)
    drift = np.repeat([1.0, 3.0], 50)
    fast, slow = (base * drift * rng.normal(1, 0.02, 100) for base in (2.0, 5.0))
    samples = ratio_samples(slow, fast)
    low, high = percentile_interval(samples)
    assert low < 2.5 < high and high - low < 0.05
    assert np.array_equal(samples, ratio_samples(slow, fast))


def fake(tmp_path: Path, script: str, timeout_s: float = 20.0) -> WorkerClient:
    path = tmp_path / "worker.py"
    answer = f"answer = lambda line: os.write(int(os.environ['{ANSWERS}']), line + bytes([10]))\n"
    path.write_text("import sys, os, time\n" + answer + script)
    return WorkerClient("fake", timeout_s, (sys.executable, "-I", "-S", str(path)))


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (f"sys.stdin.readline(); os.kill(os.getpid(), {int(signal.SIGSEGV)})", r"crashed \(SIGSEGV\)"),
        ("sys.stderr.write('no more memory\\n'); sys.exit(3)", r"crashed \(exit status 3\): no more memory"),
        (
            "sys.stdin.readline(); print('noise'); answer(b'{\"error\": \"the runtime refused\"}'); time.sleep(60)",
            "the runtime refused",
        ),
    ],
)
def test_a_worker_that_fails_says_how(script: str, said: str, tmp_path: Path) -> None:
    remote = fake(tmp_path, script)
    with pytest.raises(EngineError, match=said):
        remote.ask("time", calls=1)
    remote.close()
    remote.close()


def test_a_worker_that_hangs_is_stopped(tmp_path: Path) -> None:
    remote = fake(tmp_path, "time.sleep(600)", timeout_s=0.3)
    with pytest.raises(EngineError, match=r"no answer for 0.3 s and was stopped"):
        remote.ask("time", calls=1)
    assert remote._process.poll() is not None

"""The simulators that make training data: one plane-wave sample of the acoustic one, one scene of the fast one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgerecon.workshop.data.simulate import sample
from edgerecon.workshop.data.simulate.fast import fast_sample


def bench_plane_wave_sample(benchmark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if benchmark.disabled:  # once, for correctness, which a small one shows as well
        monkeypatch.setattr(sample, "SIZE", 64)
    images, _ = benchmark.pedantic(sample.simulate_sample, (1, 0), rounds=3, warmup_rounds=1)
    assert images["pw31"].shape == (sample.SIZE, sample.SIZE)


def bench_fast_scene(benchmark: Any) -> None:
    speckled, clean = benchmark(lambda: fast_sample(np.random.default_rng(1), 128))
    assert speckled.shape == clean.shape == (1, 128, 128)

"""The simulators that make training data: one plane-wave sample of the acoustic one, one scene of the fast one."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgerecon.workshop.data.simulate.fast import fast_sample
from edgerecon.workshop.data.simulate.sample import simulate_sample


def bench_plane_wave_sample(benchmark: Any) -> None:
    images, _ = benchmark.pedantic(simulate_sample, (1, 0), rounds=3, warmup_rounds=1)
    assert images["pw31"].shape == (256, 256)


def bench_fast_scene(benchmark: Any) -> None:
    speckled, clean = benchmark(lambda: fast_sample(np.random.default_rng(1), 128))
    assert speckled.shape == clean.shape == (1, 128, 128)

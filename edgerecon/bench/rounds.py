"""Interleaved rounds: each engine has a turn in every round, so that drift of the host hits all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgerecon.bench.worker_client import WorkerClient
from edgerecon.core.errors import EngineError
from edgerecon.measure.noise import Calibration

BLOCK_MS = 20.0
"""A turn lasts about so long: long enough to be in its own caches, short enough for many rounds."""
ROUNDS_AT_LEAST = 10
WARM_UP = 3
Times = NDArray[np.float64]


@dataclass
class RowTimes:
    """What one engine did in its turns.

    Attributes:
        blocks: ms of (prepare, engine, postprocess), (calls, 3) a round. joules: a frame; nan when nobody tells.
        apart: ms of each stage within the engine, see ``edgerecon.bench.stage_costs``. error: why it stopped, or None.
        note: what else a reader has to know.
    """

    remote: WorkerClient
    calls: int = 1
    blocks: list[Times] = field(default_factory=list)
    joules: float = float("nan")
    apart: dict[str, Times] = field(default_factory=dict)
    memory_mb: float = float("nan")
    error: str | None = None
    note: str = ""

    @property
    def medians(self) -> Times:
        """Median end-to-end ms of each round."""
        return np.array([np.median(block.sum(axis=1)) for block in self.blocks])


def run_rounds(
    turns: Sequence[RowTimes], seconds: float, calibration: Calibration, on_round: Callable[[int, int], None]
) -> None:
    """Fill in the turns, about ``seconds`` each altogether; one that fails is left out from then on."""
    costs = [_warm_up(one) for one in turns]
    alive = [one for one in turns if one.error is None]
    longest = max((cost for cost in costs if cost), default=1.0)
    rounds = max(ROUNDS_AT_LEAST, int(seconds * 1e3 / max(BLOCK_MS, longest)))
    for index in range(rounds):
        calibration.tick()
        at = index % max(1, len(alive))
        for one in [*alive[at:], *alive[:at]]:
            _turn(one)
        alive = [one for one in alive if one.error is None]
        on_round(index + 1, rounds)


def _warm_up(one: RowTimes) -> float:
    """ms a frame; sets how many make a turn. 0 when it failed."""
    try:
        ns = one.remote.ask("time", calls=WARM_UP)["ns"]
    except EngineError as error:
        one.error = str(error)
        return 0.0
    cost = sum(ns[-1]) / 1e6
    one.calls = max(1, min(200, round(BLOCK_MS / max(cost, 1e-3))))
    return cost


def _turn(one: RowTimes) -> None:
    try:
        answer = one.remote.ask("time", calls=one.calls)
    except EngineError as error:
        one.error = str(error)
        return
    one.blocks.append(np.array(answer["ns"]) / 1e6)
    one.memory_mb = answer["memory_mb"] or float("nan")

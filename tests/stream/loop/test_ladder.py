"""The quality ladder, fed with made-up fates of frames."""

from __future__ import annotations

import numpy as np
import pytest

from edgerecon.core.errors import UsageError
from edgerecon.core.frame import Status
from edgerecon.engines.base import EngineSpec
from edgerecon.modelfile.spec import ModelSpec
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.engines import Engines, smaller
from edgerecon.stream.loop.ladder import Ladder
from edgerecon.stream.loop.stream import stream
from tests.support.stream_fakes import FakeEngine, KeepSink, ListSource, ramp

SHAPE = (8, 12)
CALM = 90  # frames of three seconds


def named(name: str, scale: int = 1) -> FakeEngine:
    engine = FakeEngine(scale=scale)
    engine.spec = EngineSpec(ModelSpec(name, "none", scale, 1, ""), "fake", "fp32", 1)
    return engine


def ladder(steps: bool = True) -> tuple[Ladder, Counters]:
    counters = Counters()
    return Ladder([named("full"), named("pruned")], counters, 1 / 30, 33.3, steps), counters


def feed(
    one: Ladder, frames: int, missed: int = 0, infer_ms: float | None = 5.0, shape: tuple[int, int] = SHAPE
) -> None:
    for _ in range(frames):
        one.observe(missed, infer_ms, 1.0, shape)


def test_names_are_told() -> None:
    one, counters = ladder()
    snapshot = counters.snapshot()
    assert snapshot["ladder"] == ["full", "pruned", "passthrough"] and snapshot["rung"] == 0
    assert one.rung.name == "full"
    assert ladder(steps=False)[1].snapshot()["ladder"] == ["full", "pruned"]


def test_single_misses_do_not_step() -> None:
    one, counters = ladder()
    for _ in range(100):
        feed(one, 9)
        feed(one, 1, missed=1)
    assert counters.steps_down == 0


def test_sustained_misses_step_down_to_passthrough_at_most(caplog: pytest.LogCaptureFixture) -> None:
    one, counters = ladder()
    feed(one, 8, missed=1)
    assert one.rung.name == "pruned" and counters.rung == 1
    feed(one, 100, missed=1)
    assert one.rung.name == "passthrough" and counters.steps_down == 2
    assert caplog.messages[0].startswith("quality steps down from full to pruned: ")


def test_drops_count_as_misses() -> None:
    one, _ = ladder()
    feed(one, 2, missed=4)
    assert one.rung.name == "pruned"


def test_slack_must_hold_for_the_better_engines_own_time() -> None:
    one, counters = ladder()
    feed(one, 1, infer_ms=40.0)  # what the full one takes
    feed(one, 8, missed=1, infer_ms=40.0)
    feed(one, 10 * CALM, infer_ms=10.0)
    assert one.rung.name == "pruned" and counters.steps_up == 0  # 40 ms never fit into 33
    feed(one, 1, infer_ms=10.0, shape=(4, 4))  # smaller frames: what was known holds no longer
    feed(one, CALM, infer_ms=10.0, shape=(4, 4))
    assert one.rung.name == "full"


def test_steps_up_when_the_load_has_gone() -> None:
    one, counters = ladder()
    feed(one, 30, infer_ms=10.0)
    feed(one, 8, missed=1, infer_ms=50.0)
    feed(one, CALM - 1, infer_ms=4.0)
    assert one.rung.name == "pruned"
    feed(one, 1, infer_ms=4.0)
    assert one.rung.name == "full" and counters.steps_up == 1


def test_step_up_that_fails_is_tried_again_ever_more_rarely() -> None:
    one, counters = ladder()
    feed(one, 1, infer_ms=10.0)
    waits = []
    for _ in range(4):
        feed(one, 8, missed=1, infer_ms=50.0)
        assert one.rung.name == "pruned"
        waits.append(0)
        while one.rung.name == "pruned":
            feed(one, 1, infer_ms=4.0)
            waits[-1] += 1
    assert waits == [CALM, 2 * CALM, 4 * CALM, 8 * CALM]
    feed(one, CALM, infer_ms=10.0)  # this one holds
    feed(one, 8, missed=1, infer_ms=50.0)
    feed(one, CALM, infer_ms=4.0)
    assert one.rung.name == "full" and counters.steps_up == 5


def test_no_step_up_to_an_engine_that_is_being_replaced() -> None:
    one, _ = ladder()
    feed(one, 8, missed=1)
    one.rungs[0].engine = None
    feed(one, 3 * CALM)
    assert one.rung.name == "pruned"


def test_stream_steps_down_marks_the_passthrough_and_reports() -> None:
    """Every frame misses a deadline of a nanosecond: eight from each engine, then raw ones."""
    sink = KeepSink()
    full, pruned = named("full"), named("pruned")
    report = stream(
        ListSource(ramp(30), period_s=0.05), full, [sink], policy="every", pace=False, deadline_ms=1e-6, ladder=[pruned]
    )
    assert report.ladder == ["full", "pruned", "passthrough"] and report.rung == 2
    assert report.counts["steps_down"] == 2 and report.presented == 30
    assert sink.frames[0].status is Status.OK and sink.frames[-1].status is Status.RAW
    assert report.raws == {"passthrough": report.raw_shown} and report.raw_shown >= 4
    assert pruned.calls > 2 and pruned.resets_before[-1] == 0  # starts without the state of other frames
    np.testing.assert_array_equal(sink.frames[-1].pixels, sink.befores[-1])


def test_models_of_a_ladder_enlarge_alike() -> None:
    with pytest.raises(UsageError, match="big enlarges ×2: all models of a ladder must enlarge alike"):
        stream(ListSource(ramp(1)), named("full"), [], ladder=[named("big", scale=2)])


def test_auto_finds_the_smaller_model_that_ships() -> None:
    assert smaller("compact-despeckle") == ["compact-despeckle-small"]
    assert smaller("compact-despeckle-int8") == ["compact-despeckle-small-int8"]
    assert smaller("compact-despeckle-small") == smaller("compact-compound") == []


def test_engines_of_a_ladder_are_opened_reopened_and_closed() -> None:
    with Engines("onnxruntime", threads=1) as engines:
        full = engines.open("compact-despeckle")
        rungs = engines.open_ladder("compact-despeckle", ["auto", "passthrough"])
        assert rungs is not None and [one.spec.model.name for one in rungs] == ["compact-despeckle-small"]
        again = engines.reopen(full.spec)
        assert again.spec == full.spec and again is not full
        again.close()
        assert engines.open_ladder("compact-despeckle", []) is None
        with pytest.raises(UsageError, match="a ladder steps down from a model"):
            engines.open_ladder(None, ["auto"])

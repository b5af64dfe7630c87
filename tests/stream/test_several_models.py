"""Several models in one stream: one after the other, or side by side on one capture."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edgerecon.cli.main import app
from edgerecon.core.errors import SourceError, UsageError
from edgerecon.core.frame import Image
from edgerecon.stream.beside import sink_of, stream_beside
from edgerecon.stream.chained import ChainedEngine
from edgerecon.stream.engines import Engines
from edgerecon.stream.loop.options import StreamOptions
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.sources.base import Capture
from edgerecon.stream.sources.shared import AHEAD, SharedCapture
from tests.support.stream_fakes import FakeEngine, KeepSink, ListSource, LiveSource, ramp

SMALL = "compact-fpga"
FAST = StreamOptions(policy="every", pace=False)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("several") / "in.npz"
    frames = np.random.default_rng(0).integers(0, 256, (3, 32, 40), np.uint8)
    np.savez(path, frames=frames)
    return path


class Failing(FakeEngine):
    def run(self, frame: Image, out: Image | None = None) -> Image:
        raise RuntimeError("broken")


def test_chain_runs_each_model_on_what_came_before() -> None:
    frame = np.random.default_rng(0).random((32, 40), dtype=np.float32)
    with Engines("onnxruntime", threads=1) as engines:
        chain = engines.open(SMALL, "compact-despeckle-w8d4")
        found = np.array(chain.run(frame))
        assert list(chain.stages_ms) == [SMALL, "compact-despeckle-w8d4"]  # type: ignore[attr-defined]
        again = engines.reopen(chain.spec)
        assert np.array_equal(again.run(frame), found)
        again.close()
    with Engines("onnxruntime", threads=1) as engines:
        expected = engines.open("compact-despeckle-w8d4").run(engines.open(SMALL).run(frame).copy())
    assert np.allclose(found, expected, atol=1e-6)


def test_chain_enlarges_by_all_its_scales_and_has_one_ledger() -> None:
    chain, sink = ChainedEngine([FakeEngine(scale=2), FakeEngine(scale=3)]), KeepSink()
    report = stream(ListSource(ramp(4)), chain, [sink], FAST)
    assert report.presented == 4 and sink.frames[0].pixels.shape == (48, 72)
    assert {"fake 1", "fake 2"} <= set(report.stages_ms)
    assert [one["model"] for one in report.models] == ["fake", "fake"] and report.model == "fake + fake"


def test_chain_says_which_model_failed() -> None:
    report = stream(ListSource(ramp(2)), ChainedEngine([FakeEngine(), Failing()]), [KeepSink()], FAST)
    assert report.raw_shown == 2
    with pytest.raises(Exception, match="fake 2: broken"):
        ChainedEngine([FakeEngine(), Failing()]).run(np.zeros((4, 4), np.float32))


class Counted(ListSource):
    """Counts how often a frame is read."""

    read = 0

    def frames(self) -> Iterator[Capture]:
        for capture in super().frames():
            self.read += 1
            yield capture


def test_models_beside_each_other_share_one_capture() -> None:
    source, sinks = Counted(ramp(30)), [KeepSink(), KeepSink(), KeepSink()]
    engines = [FakeEngine(), None, Failing()]
    reports = stream_beside(source, engines, [[one] for one in sinks], stop=threading.Event(), options=FAST)
    assert source.read == 30 and [one.presented for one in reports] == [30, 30, 30]
    assert [one.raw_shown for one in reports] == [0, 0, 30]
    levels = [[float(frame.pixels[0, 0]) for frame in sink.frames] for sink in sinks]
    assert levels[1] == levels[2] == pytest.approx([index / 255 for index in range(30)])
    assert levels[0] == pytest.approx([1 - index / 255 for index in range(30)])


def test_stream_that_ends_first_leaves_the_others_running() -> None:
    shared = SharedCapture(ListSource(ramp(3 * AHEAD)), 2)
    first, second = shared.branches
    assert next(first.frames()) is not None
    first.close()
    assert len(list(second.frames())) == 3 * AHEAD


def test_every_pass_of_a_loop_is_read_once_for_all() -> None:
    source = Counted(ramp(2))
    shared = SharedCapture(source, 2)
    passes = [len(list(branch.frames())) for _ in range(3) for branch in shared.branches]
    assert passes == [2] * 6 and source.read == 6


def test_fault_of_the_source_reaches_every_stream() -> None:
    source = ListSource([*ramp(1), SourceError("gone")])
    sinks = [[KeepSink()], [KeepSink()]]
    reports = stream_beside(source, [None, None], sinks, stop=threading.Event(), options=FAST)
    assert all(report.error and "gone" in report.error for report in reports)


def test_live_source_ends_when_every_stream_is_stopped() -> None:
    source, stop = LiveSource(), threading.Event()
    source.give(ramp(1)[0])
    shown = [threading.Event(), threading.Event()]
    sinks = [[KeepSink(lambda call, one=one: one.set())] for one in shown]
    ended: list[int] = []

    def run() -> None:
        ended.extend(one.presented for one in stream_beside(source, [None, None], sinks, stop=stop))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert all(one.wait(60) for one in shown)
    stop.set()
    thread.join(60)
    assert not thread.is_alive() and source.closed and ended == [1, 1]


def test_each_model_has_its_own_file_and_account(recording: Path, tmp_path: Path) -> None:
    out, told = tmp_path / "out.npz", tmp_path / "told.json"
    models = [SMALL, "compact-despeckle-w8d4"]
    arguments = ["stream", recording, *models, "--beside", "--backend", "onnxruntime", "--sink", out, "--json", told]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    told_of = json.loads(told.read_text())["streams"]
    assert [one["model"] for one in told_of] == models and [one["presented"] for one in told_of] == [3, 3]
    before = np.load(recording)["frames"]
    for name in models:
        recorded = np.load(tmp_path / f"out-{name}.npz")["frames"]
        assert recorded.shape == before.shape and not np.array_equal(recorded, before)


def test_chain_of_the_command_line_is_one_stream(recording: Path, tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    arguments = ["stream", recording, SMALL, SMALL, "--chain", "--backend", "onnxruntime", "--json", told]
    assert CliRunner().invoke(app, list(map(str, arguments))).exit_code == 0
    report = json.loads(told.read_text())
    assert report["presented"] == 3 and [one["model"] for one in report["models"]] == [SMALL, SMALL]
    assert {f"{SMALL} 1", f"{SMALL} 2"} <= set(report["stages_ms"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["a", "b"], "say which"),
        (["a", "b", "--chain", "--beside"], "say which"),
        (["a", "--chain"], "two models or more"),
        (["--beside"], "two models or more"),
        (["a", "b", "--chain", "--ladder", "auto"], "leave it out"),
        (["a", "b", "--beside", "--trace", "t.json"], "one stream"),
        (["a", "b", "--beside", "--sink", "shm:x"], "shows one stream"),
    ],
)
def test_what_several_models_cannot_do_is_said(words: list[str], says: str) -> None:
    result = CliRunner().invoke(app, ["stream", "sample", *words])
    assert isinstance(result.exception, UsageError) and says in str(result.exception)


@pytest.mark.parametrize(
    ("uri", "own"),
    [
        ("out.mp4", "out-small.mp4"),
        ("/a.b/c.dcm?x=1", "/a.b/c-small.dcm?x=1"),
        ("null", "null"),
        ("viewer", "viewer?name=small"),
    ],
)
def test_sink_of_a_model_is_its_own(uri: str, own: str) -> None:
    assert sink_of(uri, "small") == own

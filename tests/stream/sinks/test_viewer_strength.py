"""A page sets how strongly the model acts, while the stream runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from threading import Event

import numpy as np
import pytest
from websockets.sync.client import ClientConnection, connect

from edgerecon.core.errors import UsageError
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.engines import Engines
from edgerecon.stream.filters.chain import FilterSettings
from edgerecon.stream.filters.filter import open_filters
from edgerecon.stream.filters.source import filtered
from edgerecon.stream.loop.stream import stream
from edgerecon.stream.picture.strength import check_strength
from edgerecon.stream.sinks.base import Slider, StreamInfo
from edgerecon.stream.sinks.viewer import ViewerSink
from edgerecon.stream.sinks.web.address import Address
from edgerecon.stream.sources.base import Capture
from tests.support.stream_fakes import KeepSink, ListSource


class Knob:
    """What a stream lets be changed."""

    def __init__(self) -> None:
        self._strength, self.set = 1.0, Event()

    @property
    def strength(self) -> float | None:
        return self._strength

    @strength.setter
    def strength(self, strength: float | None) -> None:
        self._strength = check_strength(strength or 0.0)
        self.set.set()

    def sliders(self) -> list[Slider]:
        return [Slider("before 0 gamma", "grey-map", "gamma", 1.0, 0.1, 10.0)]

    def slide(self, key: str, value: float) -> None:
        raise UsageError(f"no {key} is {value}")


def viewer_of(knob: Knob | None) -> ViewerSink:
    viewer = ViewerSink(Address("127.0.0.1", 0))
    viewer.open(StreamInfo("cine", "m", "onnxruntime", "fp32", 1 / 30, 33.0, None, Counters(), controls=knob))
    return viewer


def page_of(viewer: ViewerSink) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{viewer.port}/ws?stream=cine", compression=None)


@pytest.fixture
def knob() -> Knob:
    return Knob()


@pytest.fixture
def page(knob: Knob) -> Iterator[ClientConnection]:
    viewer = viewer_of(knob)
    with page_of(viewer) as opened:
        yield opened
    viewer.close()


def heard(page: ClientConnection) -> dict[str, object]:
    message = page.recv(timeout=20)
    assert isinstance(message, str)
    return json.loads(message)


def test_a_page_sets_the_strength_and_others_hear_of_it(knob: Knob, page: ClientConnection) -> None:
    assert heard(page)["strength"] == 1.0
    page.send("strength 0.25")
    assert knob.set.wait(60) and knob.strength == 0.25
    page.send("figures")
    assert heard(page)["counters"]["strength"] == 0.25  # type: ignore[index]


@pytest.mark.parametrize("word", ["strength 1.2", "strength -1", "strength nan", "strength", "strength much"])
def test_a_bad_strength_is_one_line_and_changes_nothing(knob: Knob, page: ClientConnection, word: str) -> None:
    heard(page)
    page.send(word if " " in word else f"{word} ")
    fault = str(heard(page)["fault"])
    assert fault and "\n" not in fault
    assert knob.strength == 1.0


def test_a_stream_without_a_model_has_none_to_set() -> None:
    viewer = viewer_of(None)
    with page_of(viewer) as page:
        assert heard(page)["strength"] is None
        page.send("strength 0.5")
        assert "nothing that can be set" in str(heard(page)["fault"])
    viewer.close()


def test_a_stream_blends_from_the_next_frame_on() -> None:
    frames = np.random.default_rng(0).integers(1, 255, (6, 64, 64), np.uint8)
    with Engines("onnxruntime", threads=1) as engines:
        engine, controls = engines.open("compact-despeckle-w8d4"), engines.controls
        assert controls is not None

        class Turning(KeepSink):
            def present(self, before: np.ndarray, after: object, late: bool) -> None:
                super().present(before, after, late)  # type: ignore[arg-type]
                if len(self.frames) == 2:
                    controls.strength = 0.0

        sink = Turning()
        source = ListSource([Capture(frame) for frame in frames])
        stream(source, engine, [sink], policy="every", pace=False, controls=controls)
        with pytest.raises(UsageError, match="strength is from 0"):
            controls.strength = 2.0
    same = [bool((shown.pixels == before).all()) for shown, before in zip(sink.frames, sink.befores, strict=True)]
    assert not any(same[:2]) and same[-1]


def test_page_sets_a_filter_of_the_stream() -> None:
    before, after = (FilterSettings(open_filters([text])) for text in ("grey-map:gamma=2", "median:size=3"))
    engines = Engines(filters=after, filters_before=before)
    viewer = ViewerSink(Address("127.0.0.1", 0))
    viewer.open(StreamInfo("cine", "m", "x", "fp32", 1 / 30, 33.0, None, Counters(), controls=engines.controls))
    with page_of(viewer) as page:
        told = heard(page)
        assert told["strength"] is None
        assert [one["key"] for one in told["sliders"]] == ["before 0 gamma", "after 0 size"]  # type: ignore[attr-defined]
        page.send("filter before 0 gamma 0.5")
        for word in ("before 0 gamma 99", "before 0 gamma x", "before 7 gamma 1", "after 0 size 2.5", "crop", ""):
            page.send(f"filter {word}")
            assert "\n" not in str(heard(page)["fault"])
        page.send("figures")
        assert heard(page)["counters"]["filters"] == {"before 0 gamma": 0.5, "after 0 size": 3}  # type: ignore[index]
    viewer.close()


def test_filter_that_is_set_holds_from_the_next_frame_on() -> None:
    settings = FilterSettings(open_filters(["window:low=0,high=1", "resize:width=8,height=8"]))
    assert [slider.name for slider in settings.sliders("before")] == ["low", "high"], "a frame's size stays"

    def set_after_second(call: int) -> None:
        if call == 1:
            settings.slide("before 0 high", 0.5)

    sink = KeepSink(set_after_second)
    source = filtered(ListSource([Capture(np.full((8, 8), 51, np.uint8))] * 12), settings)
    stream(source, None, [sink], policy="every", pace=False)
    levels = [round(float(frame.pixels[0, 0]), 3) for frame in sink.frames]
    assert levels[:2] == [0.2, 0.2] and levels[-1] == 0.4


def test_engines_that_change_the_size_have_no_controls() -> None:
    assert Engines().controls is None

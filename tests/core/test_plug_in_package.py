"""A package of somebody else's, installed beside ours, brings one of each thing through its entry points."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgerecon as er
from edgerecon.beamform.methods import methods
from edgerecon.core import records
from edgerecon.engines import backends
from edgerecon.quality.filters.filter import filters
from edgerecon.quality.measures.before_after import BeforeAfter
from edgerecon.quality.measures.measure import measure_frame, measures
from edgerecon.stream.filters.filter import stream_filters
from edgerecon.stream.sinks.kind import sink_kinds
from edgerecon.stream.sources.kind import source_kinds

DOCS = Path(__file__).parents[2] / "docs" / "architecture.md"
LISTS: dict[str, Callable[[], Mapping[str, Any]]] = {
    "edgerecon.engines": backends,
    "edgerecon.sources": source_kinds,
    "edgerecon.sinks": sink_kinds,
    "edgerecon.measures": measures,
    "edgerecon.filters": filters,
    "edgerecon.stream_filters": stream_filters,
    "edgerecon.beamform": methods,
}
ENTRIES = {
    "edgerecon.engines": "mine = theirs:BACKEND",
    "edgerecon.sources": "mine = theirs:SOURCE",
    "edgerecon.sinks": "mine = theirs:SINK",
    "edgerecon.measures": "mine = theirs:MEASURES",
    "edgerecon.filters": "mine = theirs:FILTERS",
    "edgerecon.stream_filters": "mine = theirs:STREAM_FILTERS",
    "edgerecon.beamform": "mine = theirs:METHOD",
}
MODULE = """
import numpy as np
from edgerecon.beamform.methods.method import Method
from edgerecon.engines.backend import Backend
from edgerecon.engines.padded import PaddedEngine
from edgerecon.quality.filters.filter import Filter
from edgerecon.quality.measures.measure import Measure
from edgerecon.stream.filters.filter import StreamFilter
from edgerecon.stream.sinks.kind import SinkKind
from edgerecon.stream.sources import Capture
from edgerecon.stream.sources.kind import SourceKind


class Copy(PaddedEngine):
    def _bind(self, padded):
        self._input, self._output = arrays = self._host_arrays(padded)
        return arrays

    def _execute(self):
        np.copyto(self._output, self._input)

    def _release(self): ...


class Grey:
    name, period_s, spacing_mm, length, live = "grey", 1 / 30, None, 3, False

    def frames(self):
        yield from [Capture(np.full((8, 8), 128, np.uint8))] * self.length

    def close(self): ...


class Counting:
    name = "counting"

    def __init__(self, place, query): self.count = 0
    def open(self, info): ...
    def present(self, before, after, late): self.count += 1
    def close(self): ...


BACKEND = Backend(
    name="mine", title="Mine", kind="cpu", runs=("fp32",), probe=lambda: "", remedy="",
    open=lambda file, device, threads, precision: Copy(file, "mine", precision, threads),
)
SOURCE = SourceKind(name="mine", title="a grey source", open=lambda place, query: Grey(), schemes=("grey",))
SINK = SinkKind(name="mine", title="a counting sink", open=Counting, words=("counting",))
MEASURES = (
    Measure(key="mine", label="mean", unit="", digits=2, better="one", needs=(), fn=lambda pair: pair.output.mean()),
)
FILTERS = (Filter("mine", lambda image: image, ({},)),)
STREAM_FILTERS = (StreamFilter("mine", "nothing", (), lambda: (lambda frame: frame)),)
METHOD = Method("mine", "mine")
"""


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The package, installed as a wheel would be."""
    (tmp_path / "theirs.py").write_text(MODULE)
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("".join(f"[{group}]\n{line}\n" for group, line in ENTRIES.items()))
    monkeypatch.syspath_prepend(str(tmp_path))
    caches = [records.points_of, records._installed, *LISTS.values()]
    try:
        _forget(caches)
        yield importlib.import_module("theirs")
    finally:
        monkeypatch.undo()
        sys.modules.pop("theirs", None)
        _forget(caches)


def _forget(caches: list[Any]) -> None:
    for cached in caches:
        cached.cache_clear()


def test_each_list_has_what_the_package_brings(theirs: Any) -> None:
    for group, found in LISTS.items():
        assert "mine" in found() and "mine" in list(found()), group


def test_what_the_package_brings_works_together(theirs: Any) -> None:
    sink = er.open_sink("counting")
    with closing(er.open_engine("compact-despeckle-small", "mine")) as engine:
        report = er.stream(er.open_source("grey://here"), engine, [sink], policy="every", pace=False)
    assert report.to_json()["presented"] == 3 and type(sink).__name__ == "Counting"
    frame = np.full((16, 16), 0.25, np.float32)
    assert measure_frame(BeforeAfter(frame, frame), ["mine"]) == {"mine": 0.25}
    assert filters()["mine"].run(frame) is frame


def test_the_documentation_names_each_entry_point() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for group, line in ENTRIES.items():
        attribute = line.partition(":")[2].removeprefix("STREAM_")  # two sorts of filters in one module of this test
        assert f"| `{group}` | `{attribute}` |" in text, group
    assert "| `edgerecon.families` | `FAMILY` |" in text

"""The HTML report: whole, self-contained, escaped, and with every frame in its histogram."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgerecon.core.errors import SinkError
from edgerecon.hardware.device import host_profile
from edgerecon.report.histogram_svg import histogram_svg, rebin
from edgerecon.report.stream_page import render, write_report


@pytest.fixture
def report() -> dict[str, object]:
    return {
        "frames_in": 303,
        "presented": 300,
        "dropped": 3,
        "late": 2,
        "failed": 0,
        "raw_shown": 1,
        "fps": 29.97,
        "deadline_ms": 33.333,
        "deadline_miss_rate": 2 / 300,
        "latency_ms": {"p50": 4.25, "p90": 6.0, "p99": 7.5, "p999": 41.0, "max": 50.0},
        "stages_ms": {"infer": {"p50": 3.97, "p99": 6.1}},
        "engine": {"backend": "onnxruntime", "precision": "fp32", "threads": 2},
        "model": "compact-despeckle",
        "source": "<script>alert(1)</script>",
        "host": host_profile(),
        "latency_histogram": {"edges_ms": [0, 5, 10, 40, 60], "counts": [200, 98, 1, 1]},
        "drops": {"capture: overtaken by a newer frame": 3},
        "failures": {},
        "quality": [{"measure": "gCNR", "before": 0.51, "after": 0.62, "note": "higher is better"}],
    }


class Links(HTMLParser):
    """Collects what the page would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for key, value in attrs if key in ("src", "href")]


def parsed(page: str) -> Links:
    links = Links()
    links.feed(page)
    return links


def test_page_states_the_figures_and_loads_nothing(report: dict[str, object], rng: np.random.Generator) -> None:
    before = rng.integers(0, 256, (24, 32), np.uint8)
    page = render(report, [("Frame 7 & more", before, 255 - before)])
    facts = ("4.2 ms", "7.5 ms", "0.67 %", "2 of 300", "3 more were never shown", "41.00", "gCNR", "0.62", "fp32")
    words = ("overtaken by a newer frame", "Not a medical device", "Not included", "Frame 7 &amp; more")
    for fact in facts + words:
        assert fact in page, fact
    assert "at 75 % strength" in render({**report, "strength": 0.75}) and "strength" not in page
    links = parsed(page)
    assert "script" not in links.tags, "names from outside are escaped"
    assert links.loads and all(load.startswith("data:image/png;base64,") for load in links.loads)
    pictures = [
        cv2.imdecode(np.frombuffer(base64.b64decode(load.split(",")[1]), np.uint8), cv2.IMREAD_UNCHANGED)
        for load in links.loads
    ]
    np.testing.assert_array_equal(pictures[0], before)
    np.testing.assert_array_equal(pictures[1], 255 - before)


def test_svg_is_well_formed_and_marks_late_frames(report: dict[str, object]) -> None:
    svg = re.search(r"<svg.*</svg>", render(report), re.DOTALL)
    assert svg is not None
    bars = [r for r in ElementTree.fromstring(svg.group()).iter("rect")]
    assert {bar.get("class") for bar in bars} == {"bar", "bar late"}
    texts = [t.text or "" for t in ElementTree.fromstring(svg.group()).iter("text")]
    assert "deadline 33.3 ms" in texts and "p50" in texts and "p99" in texts


counts_strategy = st.lists(st.integers(0, 10_000), min_size=1, max_size=60).filter(any)


@given(counts_strategy, st.floats(1e-3, 1e3), st.one_of(st.none(), st.floats(0.05, 1e4)))
def test_rebinning_counts_every_frame_once(counts: list[int], scale: float, deadline: float | None) -> None:
    edges = (np.arange(len(counts) + 1) * scale).tolist()
    bar_edges, bars = rebin(edges, counts, deadline)
    assert bars.sum() == sum(counts)
    assert len(bar_edges) == len(bars) + 1 <= 1000
    if deadline:
        assert np.isclose(bar_edges, deadline).any(), "the deadline is an edge, so that no bar is half late"
    ElementTree.fromstring(histogram_svg({"edges_ms": edges, "counts": counts}, {"p50": scale}, deadline))


def test_rebinning_puts_frames_on_their_side_of_the_deadline() -> None:
    latencies = np.r_[np.linspace(2, 9, 500), 34.0, 61.0, 900.0]
    fine = np.geomspace(0.01, 10_000, 2000)
    edges, bars = rebin(fine.tolist(), np.histogram(latencies, fine)[0].tolist(), 33.3)
    assert bars[edges[:-1] >= 33.3 - 1e-9].sum() == 3


@pytest.mark.parametrize("worst", [9.0, 40.0, 900.0, 20_000.0])
def test_axis_reaches_the_worst_and_p99_stands_at_p99(worst: float) -> None:
    fine = np.geomspace(0.01, 100_000, 2000)
    latencies = np.r_[np.linspace(2, 8.5, 500), np.full(20, 0.9 * worst), worst]
    latency = {"p50": float(np.median(latencies)), "p99": float(np.percentile(latencies, 99)), "max": worst}
    histogram = {"edges_ms": fine.tolist(), "counts": np.histogram(latencies, fine)[0].tolist()}
    chart = ElementTree.fromstring(histogram_svg(histogram, latency, 33.3))
    ticks = {float(t.text or ""): float(t.get("x", "")) for t in chart.iter("text") if t.get("text-anchor") == "middle"}
    values, places = zip(*sorted(ticks.items()), strict=True)
    slope, start = np.polyfit(np.log(values), places, 1)
    marks = [float(line.get("x1", "")) for line in chart.iter("line") if line.get("class") == "mark"]
    expected = [slope * np.log(latency[key]) + start for key in ("p50", "p99", "max")]
    assert marks == pytest.approx(expected, abs=0.2)
    bars = [(float(r.get("x", "")), float(r.get("x", "")) + float(r.get("width", ""))) for r in chart.iter("rect")]
    assert bars[-1][0] - 1 <= marks[2] <= bars[-1][1] + 2, "the worst stands on its bar"
    assert all(46 <= low and high <= 960 - 14 + 0.1 for low, high in bars)


def test_open_last_bin_is_drawn() -> None:
    chart = ElementTree.fromstring(histogram_svg({"edges_ms": [0.0, 1.0, float("inf")], "counts": [3, 2]}, {}, None))
    assert "inf" not in ElementTree.tostring(chart, encoding="unicode")


@pytest.mark.parametrize("empty", [None, {}, {"edges_ms": [0.0, 1.0], "counts": [0]}])
def test_no_latencies_no_chart(empty: dict[str, list[float]] | None) -> None:
    assert histogram_svg(empty, {}, 33.3) == ""


def test_stream_that_showed_nothing_still_has_a_report() -> None:
    page = render({"frames_in": 2, "presented": 0, "failed": 2, "latency_ms": {"p50": None}, "fps": float("nan")})
    assert "–" in page and "nan" not in page.lower().split("</style>")[1]


def test_report_is_written_whole_or_not_at_all(tmp_path: Path, report: dict[str, object], monkeypatch) -> None:
    path = tmp_path / "report.html"
    write_report(path, report)
    whole = path.read_text(encoding="utf-8")
    assert whole.rstrip().endswith("</html>")
    monkeypatch.setattr(Path, "write_bytes", lambda *a, **k: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(SinkError, match="No space left"):
        write_report(path, report)
    assert path.read_text(encoding="utf-8") == whole
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SinkError) as caught:
        write_report(tmp_path / "no" / "report.html", {})
    assert "\n" not in str(caught.value)

"""What is made of the figures: quality, comparison of two results, page, table, and LoadGen's summary."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgerecon.bench.compare import compare, read_result, reference, regression_summary
from edgerecon.bench.loadgen import read_summary, run_scenario
from edgerecon.bench.markdown import markdown
from edgerecon.bench.paced import paced
from edgerecon.bench.page import bench_page as page_of
from edgerecon.bench.scoring import score
from edgerecon.core.errors import DataError, EdgereconError, UsageError
from edgerecon.core.frame import Image
from edgerecon.engines.base import EngineSpec
from edgerecon.measure.row import Cost, Quality, Row, Setup, Speed
from edgerecon.modelfile.spec import ModelSpec
from edgerecon.quality.datasets.heldout import HeldOut
from edgerecon.report.svg import bars, histograms

SPEC = ModelSpec("m", "despeckle", 1, 1, "", quality={"validation_psnr_db": 28.5, "validation_ssim": 0.8})
SETUP = Setup("m", "onnxruntime", "fp32", 2, (64, 64))


def frames() -> np.ndarray:
    rng = np.random.default_rng(2)
    made = np.clip(rng.rayleigh(0.3, (2, 96, 96)), 0, 1)
    made[:, 30:50, 30:50] *= 0.1
    return np.asarray(made * 255, np.uint8)


def test_a_sound_row_has_its_record_and_its_errors() -> None:
    given = frames()
    truth = given.astype(np.float32) / 255
    off = truth.copy()
    off[0, 0, 0] += 0.25
    found, status = score(SPEC, lambda given: off, given, truth, None)
    assert status == "ok" and (found.psnr_db, found.ssim, found.source) == (28.5, 0.8, "record")
    assert found.max_abs_error == pytest.approx(0.25) and found.mean_shift == pytest.approx(0.25 / truth.size)
    assert 0.98 < found.ssim_to_fp32 < 1


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda x: x * np.nan, "NaN"),
        (lambda x: np.full_like(x, 0.5), "from fp32 on average"),
        (lambda x: x[:, :50], r"shape \(50, 96\)"),
    ],
)
def test_garbage_is_marked_and_has_no_record(spoil: Any, said: str) -> None:
    truth = frames().astype(np.float32) / 255
    spoilt = spoil(truth)
    found, status = score(SPEC, lambda given: spoilt, frames()[:, : spoilt.shape[1]], truth, None)
    assert re.search(said, status) and math.isnan(found.psnr_db) and math.isnan(found.ssim)


def test_held_out_scenes_outweigh_the_record() -> None:
    wanted = frames()
    noise = np.random.default_rng(8).normal(0, 0.1, wanted.shape).astype(np.float32)
    real = wanted[:1]

    def scored(restored: np.ndarray, exact: np.ndarray | None = None) -> tuple[Quality, str]:
        def run(given: np.ndarray) -> np.ndarray:
            return real.astype(np.float32) / 255 if given is real else restored

        return score(SPEC, run, real, exact, HeldOut(wanted, wanted))

    found, status = scored(wanted.astype(np.float32) / 255 + noise)
    assert status == "ok" and found.source == "held out" and found.psnr_db == pytest.approx(20, abs=1.5)
    garbage, status = scored(noise, exact=np.ones(real.shape, np.float32))
    assert "from fp32 on average" in status and garbage.psnr_db < 20  # the quality column shows it
    assert "NaN" in scored(noise * np.nan)[1]
    assert "no truth of shape" in scored(noise[:, :50])[1]


def row_json(model: str = "m", ok: bool = True, **changes: Any) -> dict[str, Any]:
    latency = {"p50": 5.0, "p90": 6.0, "p99": 7.0, "p999": 8.0, "mean": 5.2}
    speed = Speed(
        latency if ok else {},
        stages_ms={s: {"p50": 1.0, "p99": 2.0} for s in ("prepare", "engine", "postprocess")},
        cdf_ms=tuple(np.linspace(4, 8, 101)),
        relative=2.0,
        interval=(1.9, 2.1),
        to_best=(1.0, 1.0, 1.0),
    )
    quality = Quality(28.0, 0.8, gcnr=0.7, max_abs_error=1e-4)
    setup = dataclasses.replace(SETUP, model=model)
    row = Row(setup, speed, quality, Cost(size_kb=12.0), status="ok" if ok else "a [reason] <b>")
    return row.to_json() | {"shape": [64, 64]} | changes


def result(*rows: dict[str, Any]) -> dict[str, Any]:
    load = {
        "model": "m",
        "backend": "b",
        "precision": "fp32",
        "threads": 2,
        "points": [{"load": 0.1, "miss_rate": 0.0}, {"load": 1.2, "miss_rate": 0.9}],
    }
    said = {
        "model": "m",
        "backend": "b",
        "precision": "fp32",
        "threads": 2,
        "scenario": "offline",
        "valid": False,
        "why": ["Early stopping satisfied"],
        "figure": "Samples per second",
        "value": 3.0,
    }
    return {
        "schema": 1,
        "rows": list(rows),
        "loads": [load],
        "scenarios": [said],
        "noise": 1.02,
        "noisy": False,
        "roof": {"gops": {"fp32": 100.0}, "bandwidth_gbs": 10.0},
        "included": "what is in it",
        "energy_sources": [],
        "conditions": {"before": {"cpu_mhz": 1}, "after": {}},
        "shape": [64, 64],
        "seconds": 1.0,
        "recording": "sample",
        "host": {
            "hostname": "h",
            "cpu": "a CPU",
            "cores_logical": 2,
            "date": "2026-01-02T03:04:05",
            "commit": "abcdef0123",
            "packages": {"numpy": "2"},
        },
    }


def test_a_histogram_holds_every_frame_once() -> None:
    """Two peaks: as much area on each as frames lie there."""
    percentiles = [2.0 + 0.001 * i for i in range(76)] + [9.0 + 0.01 * i for i in range(25)]
    svg = histograms([("two peaks", percentiles)], "ms")
    boxes = re.findall(r"M([\d.]+) ([\d.]+)V([\d.]+)H", svg.partition('class="bar" d="')[2].partition('"')[0])
    heights = np.array([[float(x), float(base) - float(top)] for x, base, top in boxes])
    middle = heights[:, 0].mean()
    left = heights[heights[:, 0] < middle, 1].sum() / heights[:, 1].sum()
    assert left == pytest.approx(0.75, abs=0.02)
    assert "two peaks" in svg and histograms([], "ms") == ""
    assert "nan" not in histograms([("constant", [3.0] * 101)], "ms")


def test_each_number_of_a_bar_stands_where_its_mark_ends() -> None:
    svg = bars([("quick", 2.5, 7.25), ("slow", 120.0, 180.0)])
    texts = [(float(x), text) for x, text in re.findall(r'<text[^>]* x="([\d.]+)"[^>]*>([^<]+)</text>', svg)]
    ends = [float(x) for x in re.findall(r'class="mark" d="M[\d.]+ [\d.]+H([\d.]+)M', svg)]
    widths = [float(width) for width in re.findall(r'class="bar"[^>]* width="([\d.]+)"', svg)]
    assert widths[1] / widths[0] == pytest.approx(120 / 2.5, rel=0.02)
    at = {text: x for x, text in texts}
    assert at["2.5 to 7.25"] == pytest.approx(ends[0] + 6, abs=0.2), "both where the bar is too short for its number"
    assert at["180"] == pytest.approx(ends[1] + 6, abs=0.2), "p99 at the mark of p99"
    assert at["120"] == pytest.approx(400 + widths[1] - 6, abs=0.2), "p50 at the end of the bar"


def test_intervals_decide_what_is_a_regression() -> None:
    before = result(
        row_json("same"), row_json("slow"), row_json("fast"), row_json("lost"), row_json("broke"), row_json("blurred")
    )
    after = result(
        row_json("same", speed=1.95, speed_interval=(1.85, 2.0)),
        row_json("slow", speed=1.5, speed_interval=(1.4, 1.6)),
        row_json("fast", speed=3.0, speed_interval=(2.8, 3.1)),
        row_json("broke", ok=False, speed_interval=None),
        row_json("fresh"),
        row_json("blurred", max_abs_error=0.3),
    )
    changes = compare(before, after)
    verdicts = {one.name.partition(",")[0]: one.verdict for one in changes}
    assert verdicts == {
        "same": "undecided",
        "slow": "slower",
        "fast": "faster",
        "lost": "gone",
        "broke": "broken",
        "fresh": "new",
        "blurred": "broken",
    }
    assert regression_summary(compare(before, before)) is None
    said = regression_summary(changes) or ""
    assert "1 of 7 rows became slower: slow" in said and "2 of 7 rows broke: broke" in said
    assert "1 of 7 rows not measured in the second run: lost" in said
    notes = {one.name.partition(",")[0]: one.note for one in changes}
    assert notes["lost"] == "not measured in the second run" and notes["fresh"] == "not measured in the first run"


def test_another_reference_row_makes_nothing_slower() -> None:
    """A new engine that is twice as quick comes first: every other row keeps its speed over the first common one."""
    alone = {"speed": 1.0, "speed_interval": (1.0, 1.0)}
    half = {"speed": 0.5, "speed_interval": (0.48, 0.52)}
    before = result(row_json("old", **alone), row_json("kept", speed=0.8, speed_interval=(0.78, 0.82)))
    slow, kept = {"speed": 0.3, "speed_interval": (0.29, 0.31)}, {"speed": 0.4, "speed_interval": (0.39, 0.41)}
    after = result(row_json("new", **alone), row_json("old", **half), row_json("kept", **kept))
    found = {one.name.partition(",")[0]: one for one in compare(before, after)}
    assert {name: one.verdict for name, one in found.items()} == {"old": "undecided", "kept": "undecided", "new": "new"}
    assert found["kept"].after == pytest.approx((0.8, 0.39 / 0.52, 0.41 / 0.48))
    assert (reference(before, after) or "").startswith("old,") and reference(before, before) is None
    after["rows"][2] |= slow
    assert [one.verdict for one in compare(before, after)] == ["undecided", "slower", "new"]


def test_results_of_other_schemas_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    for content, said in (
        ("{", "is no JSON"),
        ("[]", "has schema None"),
        ('{"schema": 7, "rows": []}', "schema 7, this"),
    ):
        path.write_text(content)
        with pytest.raises(DataError, match=said):
            read_result(path)
    with pytest.raises(DataError, match="No such file"):
        read_result(tmp_path / "none.json")
    path.write_text(json.dumps(result(row_json())))
    assert len(read_result(path)["rows"]) == 1


def test_the_page_and_the_table_hold_every_row() -> None:
    found = result(row_json("first"), row_json("second", floor_ms=1.0), row_json("third", ok=False, to_best=None))
    html, text = page_of(found), markdown(found)
    assert "a [reason] &lt;b&gt;" in html and "A quiet host" in html and "INVALID, not met: early stopping" in html
    assert html.count("<svg") == 5 and "http" not in html.replace("http://www.w3.org", "")
    assert "| first | fp32 on onnxruntime | 5.0 | 7.0 | 200 |" in text and "third" not in text
    assert "on h (a CPU, 2 cores), 2026-01-02, commit abcdef012" in text
    nothing = result(row_json("third", ok=False, to_best=None)) | {"loads": [], "scenarios": [], "noisy": True}
    assert "Did not run" in page_of(nothing) and "This host was noisy" in page_of(nothing)


class Still:
    """An engine that hands frames on."""

    spec = EngineSpec(SPEC, "none", "fp32", 1)

    def run(self, frame: Image, out: Image | None = None) -> Image:
        if out is None:
            return frame.copy()
        np.copyto(out, frame)
        return out

    def reset(self) -> None: ...

    def close(self) -> None: ...


def test_a_paced_engine_is_counted() -> None:
    found = paced(Still(), frames(), period_ms=20.0, seconds=0.3)
    assert found["frames"] >= 1 and found["period_ms"] == 20.0
    assert found["miss_rate"] == found["missed"] / found["frames"]


def test_loadgen_judges_a_run(tmp_path: Path) -> None:
    pytest.importorskip("mlperf_loadgen", reason="LoadGen is not installed: pip install 'edgerecon[bench]'")
    for scenario in ("singlestream", "server"):
        found = run_scenario(Still(), frames(), scenario, tmp_path / scenario, 0.2, 0.5)
        assert found["value"] > 0 and isinstance(found["valid"], bool) and Path(found["logs"]).is_dir()
    with pytest.raises(UsageError, match="no scenario 'batch': choose from singlestream"):
        run_scenario(Still(), frames(), "batch", tmp_path, 0.1, 1.0)


def test_loadgens_summary_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "mlperf_log_summary.txt"
    with pytest.raises(EdgereconError, match="left no summary"):
        read_summary(path, "offline")
    path.write_text("Scenario : Offline\n")
    with pytest.raises(EdgereconError, match="no verdict"):
        read_summary(path, "offline")
    path.write_text("Result is : INVALID\n  Min duration satisfied : NO\n99.0th percentile latency (ns) : 2500000\n")
    assert read_summary(path, "multistream") == {
        "valid": False,
        "why": ["Min duration satisfied"],
        "figure": "99.0th percentile latency (ms)",
        "value": 2.5,
    }


@pytest.mark.parametrize("slowest", [0.3, 9.99, 28.94, 1234.5, 98765.0])
def test_the_numbers_and_labels_of_bars_fit_the_plot(slowest: float) -> None:
    label = "a-model-of-a-long-name-that-somebody-gave-to-a-file-of-theirs, fp32 on onnxruntime, 1 thr."
    svg = bars([(label, 0.251, slowest), ("b", slowest / 3, slowest)])
    for x, anchor, text in re.findall(r'<text[^>]* x="([\d.]+)" y="\d+"( text-anchor="end")?>([^<]+)</text>', svg):
        width = 6.3 * len(text)  # of DejaVu Sans at 12, which is wide
        low, high = (float(x) - width, float(x)) if anchor else (float(x), float(x) + width)
        assert low >= 0 and high <= 960, text
        assert "e+" not in text
    assert "onnxruntime, 1 thr.</text>" in svg and f"<title>{label}" in svg

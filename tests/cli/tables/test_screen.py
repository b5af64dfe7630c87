"""Tables on narrow screens: names stay whole, whatever else has to go; and no name commands the terminal."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgerecon.bench.compare import Change
from edgerecon.cli.doctor import Check
from edgerecon.cli.tables.bench import print_bench, print_changes
from edgerecon.cli.tables.evaluation import print_evaluation
from edgerecon.cli.tables.export import print_export
from edgerecon.cli.tables.fit import print_bounds, print_fit
from edgerecon.cli.tables.host import doctor_table, print_devices
from edgerecon.cli.tables.screen import Screen, print_table
from edgerecon.cli.tui import counter_table, served_table
from edgerecon.cli.verbs import output
from edgerecon.deploy.export.report import ExportReport
from edgerecon.deploy.fit.candidates import Candidate
from edgerecon.deploy.fit.fit import Fit, Requirement, TimedCandidate
from edgerecon.deploy.fit.fit_bound import Bound, BoundFit
from edgerecon.hardware.device import device_table
from edgerecon.measure.roofline import Roofline
from edgerecon.measure.row import Cost, Quality, Row, Setup, Speed
from edgerecon.quality.evaluate.evaluation import Evaluation, MethodResult
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.serve.ledger import Look, Tally

RESULTS = Path(__file__).resolve().parents[3] / "bench" / "results"
MODEL = "compact-despeckle-small-int8-trt"


def screen(width: int) -> Screen:
    return Screen(file=io.StringIO(), width=width, highlight=False)


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def evaluation(console: Screen) -> list[str]:
    interval = {"mean": 12.345, "low": 12.0, "high": 12.6}
    names = ("psnr_db", "ssim", "vif", "speckle_snr", "snr_ratio", "edge", "cnr", "gcnr", "fwhm_px")
    lines = [
        MethodResult("srad", {"iterations": 120, "step": 0.05}, dict.fromkeys(names, interval)),  # type: ignore[arg-type]
        MethodResult("model", {}, dict.fromkeys(names, interval)),  # type: ignore[arg-type]
    ]
    print_evaluation(console, Evaluation(MODEL, "onnxruntime", "int8", "a folder", "recordings", lines, []))
    return ["srad iterations=120 step=0.05", "model"]


def fit(console: Screen) -> list[str]:
    def tried(name: str, ms: float) -> TimedCandidate:
        return TimedCandidate(Candidate(Path(f"{name}.onnx"), "int8", "openvino", 2, 31.2, 0.9, 0.8, 1.0), ms, ms * 2)

    both = [tried("compact-despeckle-small-int8", 1.5), tried("compact-despeckle", 8.5)]
    print_fit(console, Fit(Requirement(33.3), (512, 512), both, both[0], both))
    return [one.candidate.name for one in both]


def bounds(console: Screen) -> list[str]:
    roof = Roofline("h200", "int8", 0.1, 0.05, 0.2)
    print_bounds(console, BoundFit("h200", Requirement(1.0), (512, 512), [Bound(MODEL, "int8", 0.9, 0.8, roof)]))
    return [MODEL]


def export(console: Screen) -> list[str]:
    rows = [
        Row(
            Setup(MODEL, "onnxruntime", "int8", 2, (512, 512)),
            Speed({"p50": 12.25, "p99": 15.5}, relative=1.25),
            Quality(31.25, 0.95, gcnr=0.8, max_abs_error=0.01, mean_shift=0.0),
            Cost(size_kb=123.4),
        ),
        Row(Setup(MODEL, "openvino", "int8", 2, (512, 512)), status="refused: PSNR 29.1 dB, 0.5 dB at most below fp32"),
    ]
    print_export(console, ExportReport("compact", "0" * 8, MODEL, rows=rows, host={}))
    return [MODEL]


def devices(console: Screen) -> list[str]:
    rows = device_table()
    print_devices(console, None, rows)
    return [row["name"] for row in rows]


def doctor(console: Screen) -> list[str]:
    console.print(doctor_table([Check("shipped models", True, "many " * 20), Check("ONNX Runtime", False, "", "x")]))
    return ["shipped models", "ONNX Runtime"]


def bench(console: Screen) -> list[str]:
    result = json.loads((RESULTS / "models.json").read_text())
    print_bench(console, result)
    return [f"{row['precision']} {row['backend']}" for row in result["rows"] if row["status"] == "ok"]


def served(console: Screen) -> list[str]:
    names = ["bed 1", "the second bed of the ward"]
    looks = {name: Look("running", tally=Tally(123456, 123400, 50, 1, 12), rung="compact-despeckle") for name in names}
    console.print(served_table(console, looks))
    return [*names, "running"]


TABLES = (evaluation, fit, bounds, export, devices, doctor, bench, served)


@pytest.mark.parametrize("width", [80, 60])
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_names_are_whole_on_a_narrow_screen(table: Callable[[Screen], list[str]], width: int) -> None:
    console = screen(width)
    names = table(console)
    lines = text_of(console).splitlines()
    assert max(map(len, lines)) <= width
    boxed = [line for line in lines if line[:1] in "│┃"]
    assert boxed and not any("…" in line for line in boxed), "nothing is cut"
    missing = [name for name in names if len(name) < width - 30 and not any(name in line for line in boxed)]
    assert missing == []


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_wide_screen_leaves_nothing_out(table: Callable[[Screen], list[str]]) -> None:
    console = screen(240)
    table(console)
    assert "oo narrow" not in text_of(console)


def test_comparison_keeps_rows_and_verdicts() -> None:
    name = f"{MODEL}, int8 on onnxruntime, 2 threads"
    console = screen(100)
    print_changes(console, [Change(name, "slower", (1.0, 0.9, 1.1), (0.5, 0.4, 0.6), "note")])
    line = next(line for line in text_of(console).splitlines() if name in line)
    assert "slower" in line and "Too narrow for before" in text_of(console)


def test_what_is_left_out_is_said_and_goes_in_order() -> None:
    table = Table()
    for heading in ("name", "a", "b", "c"):
        table.add_column(heading, no_wrap=True)
    table.add_row("a name of 23 characters", "1" * 10, "2" * 10, "3" * 10)
    console = screen(53)
    print_table(console, table, ("b", "c"))
    assert "3" * 10 in text_of(console) and "1" * 10 in text_of(console) and "2" * 10 not in text_of(console)
    assert "Too narrow for b: widen the terminal or set COLUMNS" in " ".join(text_of(console).split())


def test_name_that_fits_nowhere_is_folded_and_not_cut() -> None:
    table = Table()
    table.add_column("name")
    table.add_row("x" * 50)
    console = screen(30)
    print_table(console, table)
    assert text_of(console).count("x") == 50


def test_live_table_of_a_stream_fits() -> None:
    console = Screen(file=io.StringIO(), width=60, force_terminal=True, color_system=None)
    counters = Counters()
    for _ in range(100):
        counters.captured()
        counters.shown(5.0, False, None)
    with counter_table(console, "a probe → compact-despeckle", 33.3) as show:
        show(counters)
    assert "dropped, failed" in text_of(console) and "…" not in text_of(console)


@pytest.mark.parametrize(
    ("columns", "terminal", "width"),
    [("80", False, 80), ("60", True, 60), ("", False, 140), ("0", False, 140), ("wide", False, 140), ("²", False, 140)],
)
def test_columns_hold_for_files_too(columns: str, terminal: bool, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    stdout = io.StringIO()
    monkeypatch.setattr(stdout, "isatty", lambda: terminal)
    monkeypatch.setattr("sys.stdout", stdout)
    assert output.console().width == width


def test_line_with_names_is_as_it_is() -> None:
    console = screen(20)
    console.say("Page: a folder/[old] scan[1] and more.html")
    assert text_of(console) == "Page: a folder/[old] scan[1] and more.html\n"


@pytest.mark.parametrize("make", [str, Text])
def test_names_do_not_command_the_terminal(make: Callable[[str], Any]) -> None:
    console = Screen(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    evil = "bed\x1b]0;title\x07\x1b[2J\u202egpj\udcff"
    table = Table(title=make(evil))
    table.add_column(make(evil))
    table.add_row(make(evil))
    print_table(console, table)
    console.print(make(evil), markup=False)
    assert not any(ord(letter) < 32 and letter != "\n" or letter in "\u202e\udcff\x07" for letter in text_of(console))
    assert text_of(console).count("\\x1b[2J") >= (4 if make is str else 2), "spelled out"


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_peaks_of_devices_are_not_folded(columns: int, capsys: pytest.CaptureFixture[str]) -> None:
    peak = {"fp32": 66_900.0, "fp16": 989_400.0, "int8": 1_978_900.0}
    row = {"name": "jetson-orin-nano-super", "architecture": "Ampere (GA10B)", "compute_capability": "8.7"}
    row |= {"memory_gb": 8, "bandwidth_gbs": 102, "peak": peak, "power_w": 25, "backends": ["tensorrt", "onnxruntime"]}
    print_devices(Screen(width=columns), None, [row])
    shown = capsys.readouterr().out
    for words in ("jetson-orin-nano-super", "fp32 66,900", "fp16 989,400", "int8 1,978,900"):
        assert words in shown
    assert max(map(len, shown.splitlines())) <= columns

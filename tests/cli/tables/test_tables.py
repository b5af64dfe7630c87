from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from edgerecon.cli.doctor import Check
from edgerecon.cli.tables import bars
from edgerecon.cli.tables.bars import count_bar, frame_bar, work_bar
from edgerecon.cli.tables.evaluation import print_evaluation
from edgerecon.cli.tables.host import doctor_table
from edgerecon.quality.evaluate.evaluation import Evaluation, MethodResult
from edgerecon.stream.accounting.counters import Counters


def _console(terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), width=200, force_terminal=terminal, highlight=False)


def _text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_remedies_with_brackets_are_shown_whole() -> None:
    console = _console()
    console.print(doctor_table([Check("video", False, "absent [x]", "pip install 'edgerecon[stream]'")]))
    assert "pip install 'edgerecon[stream]'" in _text(console) and "absent [x]" in _text(console)


def test_figures_that_do_not_exist_are_dashes() -> None:
    nothing = {"mean": math.nan, "low": math.nan, "high": math.nan}
    single = {"mean": 2.0, "low": math.nan, "high": math.nan}
    several = {"mean": 2.0, "low": 1.5, "high": 2.5}
    table = [MethodResult("input", {}, {"gcnr": nothing, "edge": single, "snr_ratio": several})]
    console = _console()
    print_evaluation(console, Evaluation("m", "b", "fp32", "d", "recordings", table, []))
    assert "–" in _text(console) and "2.000 ± 0.500" in _text(console)
    assert "nan" not in _text(console)


def test_the_place_on_the_trade_off() -> None:
    place = {
        "model": {"edge": 0.91, "snr_ratio": 2.5},
        "classical_at_edge": 2.0,
        "advantage_percent": {"mean": 25.0, "low": 20.0, "high": 31.0},
    }
    console = _console()
    print_evaluation(console, Evaluation("m", "b", "fp32", "d", "recordings", [], [], tradeoff=place))
    text = " ".join(_text(console).split())
    assert (
        "×2.50 at edge preservation 0.910, where the best classical filter reaches ×2.00: +25.0 % (95 % interval"
        in text
    )

    place["advantage_percent"] |= {"low": math.nan, "high": math.nan}  # of one file
    print_evaluation(console, Evaluation("m", "b", "fp32", "d", "recordings", [], [], tradeoff=place))
    place["advantage_percent"]["mean"] = math.nan  # of frames without speckle
    print_evaluation(console, Evaluation("m", "b", "fp32", "d", "recordings", [], [], tradeoff=place))
    assert "No speckle SNR, and so no advantage" in _text(console) and "nan" not in _text(console)


def test_without_a_terminal_a_line_says_how_far_the_work_is(monkeypatch: pytest.MonkeyPatch) -> None:
    console, quiet = _console(), _console()
    with work_bar(quiet) as on_progress:
        on_progress("tuning", 1, 2)
    monkeypatch.setattr(bars, "LINE_EVERY_S", 0.0)
    with count_bar(console, "Simulating a.h5", "samples") as on_sample:
        on_sample(1, 3)
        on_sample(2, 3)
    with work_bar(console) as on_progress:
        on_progress("tuning [0]", 1, 2)
    assert _text(console) == "Simulating a.h5: 1 of 3\nSimulating a.h5: 2 of 3\ntuning [0]: 1 of 2\n"
    assert _text(quiet) == "", "less than ten seconds of work need no line"


def test_bars_show_only_on_a_terminal() -> None:
    for terminal in (False, True):
        console = _console(terminal)
        with count_bar(console, "Simulating", "samples") as on_sample:
            on_sample(1, 3)
        with work_bar(console) as on_progress:
            on_progress("tuning", 1, 2)
        with frame_bar(console) as on_frame:
            on_frame(Counters())
        assert ("Simulating" in _text(console)) is terminal

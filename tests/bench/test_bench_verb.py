"""``edgerecon bench`` as a user runs it, on small frames."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgerecon.bench.grid import list_cells
from edgerecon.bench.run import real_frames
from edgerecon.cli.main import app
from edgerecon.core.errors import EdgereconError, UsageError
from edgerecon.core.shipped import resource_dir

MODEL = "compact-despeckle-small"


def test_every_row_is_timed_and_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = [
        MODEL,
        "--backend",
        "cuda",
        "--backend",
        "onnxruntime",
        "--precision",
        "fp32",
        "--precision",
        "int8",
        "--threads",
        "1",
        "--shape",
        "48x64",
        "--seconds",
        "0.2",
        "--scenario",
        "singlestream",
    ]
    done = CliRunner().invoke(app, ["bench", *wanted, "--json", "r.json", "-o", "r.html"])
    assert done.exit_code == 0, done.output
    found = json.loads(Path("r.json").read_text())
    rows = [row for row in found["rows"] if row["backend"] == "onnxruntime"]
    assert [row["precision"] for row in rows] == ["fp32", "int8"]
    # What comes first and cannot run here costs its own row alone.
    assert found["rows"][0]["backend"] == "cuda" and (found["rows"][0]["status"] != "ok" or found["host"]["gpus"])
    for row in rows:
        assert row["status"] == "ok" and row["shape"] == [48, 64] and row["threads"] == 1
        assert 0 < row["latency_ms"]["p50"] <= row["latency_ms"]["p99"] <= row["latency_ms"]["p999"]
        assert set(row["stages_ms"]) == {"prepare", "engine", "postprocess"} and row["memory_mb"] > 10
        assert row["psnr_db"] > 20 and 0 < row["gcnr"] <= 1 and row["to_best"][1] <= row["to_best"][2]
    exact, rounded = (row["max_abs_error"] for row in rows)
    assert exact < 1e-5 < rounded
    assert found["scenarios"][0]["value"] > 0 and found["included"] and found["host"]["cpu"]
    assert "int8 on onnxruntime" in Path("r.html").read_text()
    again = CliRunner().invoke(app, ["bench", "--compare", "r.json", "r.json"])
    assert again.exit_code == 0 and "undecided" in again.output


@pytest.mark.parametrize(
    "call",
    [
        ["bench", MODEL, "-o", "x.csv"],
        ["bench", MODEL, "-o", "page"],
        ["fit", "--deadline", "5ms", "-o", "x.csv"],
        ["fit", "--deadline", "5ms", "--device", "h200", "-o", "x.pdf"],
        ["explain", MODEL, "sample", "-o", "x.csv"],
        ["explain", MODEL, "sample", "--npz", "x.csv"],
        ["study", "-o", "x.csv"],
        ["kernels", "build", "-o", "x.csv"],
        ["bundle", "r.toml", "--device", "h200", "-o", "x.csv"],
    ],
    ids=" ".join,
)
def test_a_name_of_another_format_is_refused_before_the_work(
    call: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.toml").write_bytes((resource_dir("export") / "compact-despeckle.toml").read_bytes())
    done = CliRunner().invoke(app, call)
    assert isinstance(done.exception, UsageError) and call[-1] in str(done.exception), done.output
    assert [path.name for path in tmp_path.iterdir()] == ["r.toml"]


def test_a_live_source_gives_some_frames() -> None:
    frames = real_frames("sim://?size=32x24&fps=200")
    assert len(frames) == 6 and {frame.shape for frame in frames} == {(24, 32)}


def test_a_name_stands_for_its_precisions() -> None:
    cells = list_cells([MODEL], ["onnxruntime", "openvino"], threads=[1, 2])
    assert {(cell.file.path.stem, cell.precision) for cell in cells if cell.backend == "openvino"} == {
        (MODEL, "fp32"),
        (MODEL, "bf16"),
        (f"{MODEL}-fp16", "fp16"),
        (f"{MODEL}-int8", "int8"),
    }
    assert len([cell for cell in cells if cell.backend == "onnxruntime"]) == 2 * 3
    assert {cell.file.path.stem for cell in list_cells([MODEL], ["tensorrt"])} == {
        MODEL,
        f"{MODEL}-fp16",
        f"{MODEL}-int8-trt",
    }


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["nothing"], "no model 'nothing' ships with edgerecon"),
        ([MODEL, "--backend", "abacus"], "unknown backend 'abacus': choose auto or one of"),
        ([MODEL, "--precision", "fp8"], "nothing is left to bench"),
        ([MODEL, "--shape", "512"], "--shape is HEIGHTxWIDTH, e.g. 512x512, not '512'"),
        ([MODEL, "--scenario", "batch"], "there is no scenario 'batch': choose from realtime"),
        ([MODEL, "-o", "none/x.html"], "cannot write none/x.html"),
        (["--compare", "a.json", "b.json"], "cannot read a.json: No such file or directory"),
        ([MODEL, "--recording", "none.mp4"], "none.mp4 does not exist"),
    ],
)
def test_wrong_use_is_one_line(wrong: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["bench", *wrong])
    assert isinstance(done.exception, EdgereconError) and re.search(re.escape(said), str(done.exception))
    assert done.exception.exit_code == (2 if isinstance(done.exception, UsageError) else 1)

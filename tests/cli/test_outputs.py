"""What a verb reads is never replaced by what it writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from edgerecon.cli.main import app
from edgerecon.core.errors import UsageError


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "compact-despeckle", "--data", "in", "--json", "in/a.png"],
        ["models", "--json", "m.onnx"],
        ["devices", "--json", "soft.toml"],
        ["fit", "--deadline", "9ms", "--models", "m.onnx", "--json", "m.onnx"],
        ["explain", "compact-despeckle", "in/a.png", "-o", "./in/a.png"],
        ["explain", "compact-despeckle", "a.npz", "--npz", "hard.npz"],
        ["adopt", "m.onnx", "-o", "in/../m.onnx"],
        ["bench", "--compare", "a.json", "b.json", "--json", "./b.json"],
        ["beamform", "a.npz", "-o", "a.npz"],
    ],
    ids=" ".join,
)
def test_an_output_that_is_an_input_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    (tmp_path / "in").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "in" / "a.png")
    np.savez(tmp_path / "a.npz", frames=np.zeros((1, 8, 8), np.uint8))
    (tmp_path / "hard.npz").hardlink_to(tmp_path / "a.npz")
    (tmp_path / "m.onnx").write_bytes(b"\x08\x0a")
    (tmp_path / "r.toml").write_text("[model]\n")
    (tmp_path / "soft.toml").symlink_to("r.toml")
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text('{"rows": []}')
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    refused = CliRunner().invoke(app, words).exception
    assert isinstance(refused, UsageError), refused
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_figures_of_before_are_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for content in ("", '  {"old": 1}'):
        out.write_text(content)
        assert CliRunner().invoke(app, ["models", "--json", str(out)]).exit_code == 0
        assert out.read_text().startswith("[")


@pytest.mark.parametrize(
    "words",
    [
        ["models", "--json", "x.csv"],
        ["stream", "sample", "--trace", "x.html"],
        ["simulate", "x.csv", "--samples", "1"],
        ["build", "compact-fpga", "--device", "ecp5-85", "-o", "x.csv"],
        ["evaluate", "compact-despeckle", "--data", "absent", "--pictures", "x.png"],
        ["train", "compact-despeckle", "--run-dir", "x.csv"],
        ["export", "compact-despeckle", "--work", "x.csv"],
        ["adapt", "absent", "--run-dir", "x.pdf"],
    ],
    ids=" ".join,
)
def test_a_name_of_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"^x\.\w+ would (hold|be a folder)"):
        CliRunner().invoke(app, words, catch_exceptions=False)
    assert not list(tmp_path.iterdir())


def test_the_table_leaves_columns_out_before_it_cuts_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = CliRunner().invoke(app, ["models", "--all"]).output
    assert "compact-despeckle-small-int8-trt" in said and "…" not in said and "Too narrow for" in said
    assert max(map(len, said.splitlines())) <= 80

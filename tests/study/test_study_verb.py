"""``edgerecon study`` as a user calls it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edgerecon.cli.main import app
from edgerecon.core.errors import EdgereconError
from edgerecon.measure.row import Row
from edgerecon.study import run as running
from edgerecon.study.context import Context
from edgerecon.study.profile import Profile
from edgerecon.study.report import StudyReport
from edgerecon.study.results import Result, TrainedModel
from edgerecon.study.speed import time_models
from edgerecon.workshop.models.network import Network


def test_two_systems_from_nothing_to_their_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ship, shipped = Context.ship, dict[str, TrainedModel]()

    def ship_one_of_a_kind(self: Context, network: Network, name: str, task: str, shape: tuple[int, int]) -> Path:
        """To export takes seconds: a second network of the same layers is the first one's file under its own name."""
        first = shipped.get(str(network))
        if first is None:
            path = ship(self, network, name, task, shape)
            shipped[str(network)] = self.result.models[-1]
            return path
        path = Path(first.file).with_name(f"{name}.onnx")
        path.write_bytes(Path(first.file).read_bytes())
        self.result.models.append(replace(first, name=name, file=str(path)))
        return path

    def time_one_of_each(results: Sequence[Result], *rest: Any) -> list[Row]:
        return time_models([replace(one, models=one.models[:1]) for one in results], *rest)

    monkeypatch.setattr(Context, "ship", ship_one_of_a_kind)
    monkeypatch.setattr(running, "time_models", time_one_of_each)
    monkeypatch.chdir(tmp_path)
    wanted = [
        "--profile",
        "smoke",
        "--only",
        "enhancement",
        "--only",
        "restoration",
        "-o",
        "out",
        "--json",
        "s.json",
    ]
    done = CliRunner().invoke(app, ["study", *wanted])
    assert done.exit_code == 0, done.output
    assert "CNN, fully convolutional" in done.output and "GAN" in done.output and "report.html" in done.output
    found = json.loads(Path("s.json").read_text())
    assert [system["name"] for system in found["systems"]] == ["restoration", "enhancement"]
    for system in found["systems"]:
        assert system["claims"] and system["models"] and all(table["rows"] for table in system["tables"])
    assert {row["model"] for row in found["speed"]} == {system["models"][0]["name"] for system in found["systems"]}
    said = {(row["backend"], row["status"]) for row in found["speed"] if row["status"] != "ok"}
    assert all(backend == "litert" and "has no operator" in status for backend, status in said)
    assert Path("out/report.html").stat().st_size > 100_000 and Path("out/report.csv").is_file()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--only", "gan"], "there is no system 'gan' in the study: choose from recurrent, tomography"),
        (["--profile", "tiny"], "there is no profile 'tiny': choose quick, long or full"),
        (["--budget", "8h"], "--budget: the profile quick trains for fixed steps: add  --profile long"),
        (["--recordings", "absent"], "--recordings: absent is not a folder"),
        (["--json", "absent/x.json"], "cannot write absent/x.json"),
    ],
)
def test_what_users_do_wrong_costs_one_line(arguments: list[str], line: str) -> None:
    ended = CliRunner().invoke(app, ["study", *arguments]).exception
    assert isinstance(ended, EdgereconError) and ended.exit_code in (1, 2)
    assert line in str(ended) and "\n" not in str(ended)


def test_a_long_study_is_nice_and_keeps_its_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def run_study(size: Profile, folder: Path, only: object, **options: object) -> StudyReport:
        asked.append(options["budget_s"])
        return StudyReport(size.name, [], [], {})

    monkeypatch.setattr(running, "run_study", run_study)
    monkeypatch.setattr("os.nice", asked.append)
    arguments = ["study", "--profile", "long", "--budget", "8h", "--resume", "-o", str(tmp_path)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0 and asked == [19, 8 * 3600.0], done.output

"""``edgerecon study`` as a user calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgerecon.cli.main import app
from edgerecon.core.errors import EdgereconError
from edgerecon.study import run as running
from edgerecon.study.profile import Profile
from edgerecon.study.report import StudyReport


def study(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgerecon", "study", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_two_systems_from_nothing_to_their_report(tmp_path: Path) -> None:
    done = study(
        "--profile",
        "smoke",
        "--only",
        "enhancement",
        "--only",
        "restoration",
        "-o",
        tmp_path / "out",
        "--json",
        tmp_path / "study.json",
    )
    assert done.returncode == 0, done.stderr
    assert "CNN, fully convolutional" in done.stdout and "GAN" in done.stdout and "report.html" in done.stdout
    found = json.loads((tmp_path / "study.json").read_text())
    assert [system["name"] for system in found["systems"]] == ["restoration", "enhancement"]
    for system in found["systems"]:
        assert system["claims"] and system["models"] and all(table["rows"] for table in system["tables"])
    said = {(row["backend"], row["status"]) for row in found["speed"] if row["status"] != "ok"}
    assert all(backend == "litert" and "has no operator" in status for backend, status in said)
    assert (tmp_path / "out/report.html").stat().st_size > 100_000 and (tmp_path / "out/report.csv").is_file()


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

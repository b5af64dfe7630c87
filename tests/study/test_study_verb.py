"""``edgerecon study`` as a user calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


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
        (["--recordings", "absent"], "--recordings: absent is not a folder"),
        (["--json", "absent/x.json"], "cannot write absent/x.json"),
    ],
)
def test_what_users_do_wrong_costs_one_line(arguments: list[str], line: str) -> None:
    done = study(*arguments)
    assert done.returncode in (1, 2) and done.stderr.startswith("edgerecon: ") and line in done.stderr
    assert done.stderr.count("\n") == 1

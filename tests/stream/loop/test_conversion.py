"""Recording a file keeps every frame unless real time is asked for, and says where the recording lies."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgerecon.stream.conversion import is_conversion
from edgerecon.stream.sources import open_source
from edgerecon.stream.sources.live.sim import SimSource
from tests.cli.command import Cli, in_this_process


@pytest.fixture
def cine(tmp_path: Path) -> Path:
    path = tmp_path / "in.npz"
    np.savez(path, frames=np.random.default_rng(0).integers(0, 256, (75, 64, 64), np.uint8), fps=1000.0)
    return path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    return in_this_process(monkeypatch, capsys)


@pytest.mark.parametrize("options", [[], ["--pace"], ["--sink", "null"], ["--seconds", "60"]])
def test_a_file_into_a_file_keeps_every_frame(run, cine: Path, tmp_path: Path, options: list[str]) -> None:
    out, report = tmp_path / "out.mp4", tmp_path / "report.json"
    status, said, _ = run("stream", cine, "compact-despeckle", "--sink", out, "--json", report, *options)
    counts = json.loads(report.read_text())
    assert status == 0 and (counts["presented"], counts["dropped"]) == (75, 0)
    assert f"Recorded 75 frames: {out}" in said and "missing" not in said
    assert ("against no deadline" in said) == (not {"--pace", "--seconds"} & set(options))


def test_real_time_is_kept_where_it_is_asked_for(run, cine: Path, tmp_path: Path) -> None:
    status, said, _ = run(
        "stream",
        cine,
        "compact-despeckle",
        "--sink",
        tmp_path / "out.npz",
        "--policy",
        "latest",
        "--loop",
        "--frames",
        2000,
        "--json",
        tmp_path / "report.json",
    )
    dropped = json.loads((tmp_path / "report.json").read_text())["dropped"]
    assert status == 0 and dropped > 0, "no engine takes 1000 frames a second"
    assert f"{dropped} of 2000 frames are missing" in said and "--policy every --no-pace keeps all of them" in said


def test_a_sink_that_is_the_source_is_refused(run, cine: Path) -> None:
    before = cine.read_bytes()
    status, _, said = run("stream", cine, "--sink", cine.parent / "." / "in.npz")
    assert status == 2 and "would overwrite the source" in said and said.count("\n") == 1
    assert cine.read_bytes() == before and list(cine.parent.iterdir()) == [cine]


def test_what_counts_as_a_conversion(cine: Path) -> None:
    source, live = open_source(str(cine)), SimSource(64, 64)
    for sinks, expected in (
        (["out.mp4"], True),
        (["out.h5", "out.npz", "null", "black-box:box"], True),
        (["null"], False),
        (["black-box:box"], False),
        (["out.mp4", "shm://x"], False),
    ):
        assert is_conversion(source, sinks) == expected
        assert not is_conversion(live, sinks)

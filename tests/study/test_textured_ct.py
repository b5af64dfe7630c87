"""The textured CT task from its scans to its table."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgerecon.study.context import Arrays, Context
from edgerecon.study.profile import Profile
from edgerecon.study.results import Result
from edgerecon.study.systems import textured_ct
from edgerecon.study.turns import Turns


def test_every_method_is_measured_on_the_same_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = Result("textured_ct", textured_ct.TITLE, textured_ct.PAPER)
    textured_ct.run(Context(Profile("smoke"), tmp_path, result))
    (table,) = result.tables
    assert [row.method for row in table.rows] == ["FBP", "SART", "TV", "U-Net, residual", "U-Net, attention"]
    assert all(np.isfinite(row.values["psnr_db"]["mean"]) for row in table.rows) and len(result.claims) == 3
    assert all("best on validation slices" in row.note for row in table.rows[:3])
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    key = str(np.load(tmp_path / "test-TV.npz")["_key"])
    monkeypatch.setattr(textured_ct, "_tv", functools.wraps(textured_ct._tv)(lambda *given, **more: given[0]))
    textured_ct.run(Context(Profile("smoke"), tmp_path, result))
    assert str(np.load(tmp_path / "test-TV.npz")["_key"]) == key, "a function at another address is the same method"
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")} == kept
    made = np.load(tmp_path / "train.npz")
    assert made["slices"].shape == (3, 48, 48) and made["sinograms"].shape == (3, 48, 60)


def test_a_budget_that_the_data_used_up_still_gives_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    turns = Turns(tmp_path, 1.0, clock=lambda: now[0])
    tuned = textured_ct._tuned

    def slow(ctx: Context, scans: Arrays) -> Any:
        now[0] = 2.0
        return tuned(ctx, scans)

    monkeypatch.setattr(textured_ct, "_tuned", slow)
    result = Result("textured_ct", textured_ct.TITLE, textured_ct.PAPER)
    textured_ct.run(Context(Profile("smoke"), tmp_path / "textured_ct", result, turns=turns))
    assert "U-Net, residual" in {row.method for row in result.tables[0].rows} and len(result.claims) == 3

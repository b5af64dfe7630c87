"""The textured CT task from its scans to its table."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgerecon.study.context import Context
from edgerecon.study.profile import Profile
from edgerecon.study.results import Result
from edgerecon.study.systems import textured_ct


def test_every_method_is_measured_on_the_same_slices(tmp_path: Path) -> None:
    result = Result("textured_ct", textured_ct.TITLE, textured_ct.PAPER)
    textured_ct.run(Context(Profile("smoke"), tmp_path, result))
    (table,) = result.tables
    assert [row.method for row in table.rows] == ["FBP", "SART", "TV", "U-Net, residual", "U-Net, attention"]
    assert all(np.isfinite(row.values["psnr_db"]["mean"]) for row in table.rows) and len(result.claims) == 3
    assert all("best on validation slices" in row.note for row in table.rows[:3])
    made = np.load(tmp_path / "train.npz")
    assert made["slices"].shape == (3, 48, 48) and made["sinograms"].shape == (3, 48, 60)

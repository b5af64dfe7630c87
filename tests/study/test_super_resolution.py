from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgerecon.study.context import Context
from edgerecon.study.profile import profile
from edgerecon.study.results import Result, Row, Table, measured
from edgerecon.study.scenes import HELD_OUT
from edgerecon.study.sr_training import crops, log_error
from edgerecon.study.systems import super_resolution
from edgerecon.study.turns import Turns


def test_small_crops_are_the_means_of_the_large(rng: np.random.Generator) -> None:
    images = rng.integers(0, 256, (3, 40, 48)).astype(np.uint8)
    small, large = crops(images, 4, 6, 5)(np.random.default_rng(0))
    assert small.shape == (5, 1, 6, 6) and large.shape == (5, 1, 24, 24)
    expected = super_resolution.smaller(large[2, 0].numpy(), 4)
    np.testing.assert_allclose(small[2, 0].numpy(), expected, atol=1e-6)
    again = crops(images, 4, 6, 5)(np.random.default_rng(0))
    assert torch.equal(large, again[1])


def test_the_loss_is_the_psnr() -> None:
    a, b = torch.rand(3, 1, 16, 16), torch.rand(3, 1, 16, 16)
    psnr = [-10 * float(torch.log10(((x - y) ** 2).mean())) for x, y in zip(a, b, strict=True)]
    assert float(log_error(2)(a, a, b)) * -10 / np.log(10) == pytest.approx(np.mean(psnr), abs=1e-3)


def test_what_has_learned_nothing_is_not_better_than_bicubic() -> None:
    """SRResNet and RRDB start as bicubic: a thousandth of a dB, in every scene, is no verdict."""
    bicubic = [30.0, 31.0, 29.0]
    gains = {"SRCNN": 0.001, "SRResNet": 0.2, "RRDB": -0.2}
    psnrs = {name: [value + gain for value in bicubic] for name, gain in gains.items()} | {"bicubic": bicubic}
    methods = [*psnrs, "SRGAN", "ESRGAN"]
    rows = tuple(Row(name, "trained", measured({"psnr_db": [30.0, 30.0]})) for name in methods)
    claims = super_resolution._claims(4, Table("Enlargement ×4", super_resolution.METRICS, rows, ""), psnrs)
    assert [claim.holds for claim in claims[:3]] == [None, True, False]


def test_the_system_runs_with_every_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Context, "ship", lambda self, network, name, task, shape: self.result.notes.append(name))
    monkeypatch.setattr("edgerecon.study.scenes.usable_cores", lambda: 1)  # processes take longer to start than to work
    result = Result("super_resolution", super_resolution.TITLE, super_resolution.PAPER)
    turns = Turns(tmp_path, 1e-9)  # as a long study runs it: judged by scenes of their own
    super_resolution.run(Context(profile("smoke"), tmp_path / "super_resolution", result, turns=turns))
    assert len(np.load(tmp_path / "super_resolution/held out.npz")["speckled"]) == HELD_OUT
    methods = ["nearest", "bilinear", "bicubic", "Lanczos", "SRCNN", "SRResNet", "SRGAN", "RRDB", "ESRGAN"]
    assert [row.method for row in result.tables[0].rows] == methods
    assert result.tables[0].mean("bicubic", "psnr_db") > result.tables[0].mean("nearest", "psnr_db")
    assert {name for name in result.curves} >= {
        "srcnn-x2",
        "srresnet-x2",
        "srgan-x2",
        "rrdb-x2",
        "esrgan-x2",
        "features",
    }
    assert sum(note.startswith("study-") for note in result.notes) == 5
    assert any("33 dB" in claim.text for claim in result.claims)
    assert len({panel[1].shape for panel in result.pictures[0].panels}) == 1

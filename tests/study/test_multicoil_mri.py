"""The multi-coil MRI task from its data to its table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from edgerecon.study import coils
from edgerecon.study.context import Context
from edgerecon.study.profile import Profile
from edgerecon.study.results import Result
from edgerecon.study.systems import multicoil_mri
from edgerecon.study.turns import Turns


def context(tmp_path: Path, turns: Turns | None = None) -> Context:
    result = Result("multicoil_mri", multicoil_mri.TITLE, multicoil_mri.PAPER)
    return Context(Profile("smoke"), tmp_path / "multicoil_mri", result, turns=turns)


def test_every_method_is_measured_on_the_same_slices(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    multicoil_mri.run(ctx)
    (table,) = ctx.result.tables
    methods = {"zero-filled", "TV", "wavelets", "CG-SENSE", "U-Net", "U-Net + data consistency", "unrolled network"}
    assert {row.method for row in table.rows} == methods
    assert all(set(row.values) == {"mse", "psnr_db", "ssim", "vif"} for row in table.rows)
    assert {claim.text.partition(":")[0] for claim in ctx.result.claims} >= {"U-Net"} and len(ctx.result.claims) == 4
    assert set(ctx.result.curves) == {"multicoil-variable-4x-unet", "multicoil-variable-4x-unrolled"}


def test_what_was_never_trained_is_not_reported(tmp_path: Path) -> None:
    now = [0.0]
    turns = Turns(tmp_path, 1.0, clock=lambda: now[0])
    now[0] = 2.0
    ctx = context(tmp_path, turns)
    multicoil_mri.run(ctx)
    assert not ctx.result.tables and "not trained yet" in ctx.result.notes[0]


def test_both_networks_are_given_the_same_scan() -> None:
    images = np.random.default_rng(0).random((2, 32, 32)).astype(np.float32)
    mask = np.arange(32) % 2 == 0
    shown, wanted = coils.draw_magnitudes(images, mask, 8, 2, False, np.random.default_rng(1))
    given, rows = coils.draw_k_space(images, mask, 8, 2, 32, False, np.random.default_rng(1))
    assert torch.equal(rows, wanted) and given.shape == (2, 2, 8, 32, 32) and given.is_complex()
    k_space, maps = given.unbind(1)
    again = (maps.conj() * torch.from_numpy(np.asarray(coils.multicoil.inverse(k_space.numpy())))).sum(1).abs()
    torch.testing.assert_close(again.clamp(0, 1).float()[:, None], shown, atol=1e-5, rtol=0)

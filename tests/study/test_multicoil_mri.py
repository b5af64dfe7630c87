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


def test_bands_are_cut_from_the_scans_that_were_kept(tmp_path: Path) -> None:
    ctx, condition = context(tmp_path), multicoil_mri.CONDITIONS[0]
    images = np.random.default_rng(0).random((2, 1, 48, 48)).astype(np.float32)
    mask = condition.mask(ctx, 48)
    scanned = coils.kept_scans(ctx, condition, images, 2, "few")
    assert scanned["k_space"].shape == (2, 8, 48, mask.sum()) and scanned["maps"].shape == (2, 2, 8, 48, 48)
    given, wanted = coils.draw_k_space(scanned, mask, 12, 16, np.random.default_rng(1))
    assert given.shape == (12, 2, 8, 16, 48) and given.is_complex() and wanted.shape == (12, 1, 16, 48)
    assert not given[:, 0, ..., ~mask].any()
    bands = [
        (coils.multicoil.adjoint(k_space, maps, mask), image[0])
        for (k_space, maps), image in zip(given.numpy(), wanted.numpy(), strict=True)
    ]
    blurred = [np.abs(band).mean(axis=1) for band, _ in bands]
    for zero_filled, (_, image) in zip(blurred, bands, strict=True):
        assert np.corrcoef(zero_filled, image.mean(axis=1))[0, 1] > 0.9, "rows of both stand in one order"


def test_pairs_are_turned_upside_down_together(rng: np.random.Generator) -> None:
    given = rng.random((3, 6, 5)).astype(np.float16)
    shown, wanted = coils.draw_magnitudes({"given": given, "wanted": given + 1}, 16, np.random.default_rng(0))
    assert shown.shape == (16, 1, 6, 5) and torch.equal(wanted, (shown.half() + 1).float())
    ways = [image for scan in given.astype(np.float32) for image in (scan, scan[::-1])]
    seen = {next(n for n, way in enumerate(ways) if np.array_equal(way, image[0])) for image in shown.numpy()}
    assert {n % 2 for n in seen} == {0, 1}

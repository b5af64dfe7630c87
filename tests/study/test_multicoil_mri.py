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
    given, rows = coils.draw_k_space(images[:1], mask, 8, 1, 32, False, np.random.default_rng(1))
    rng = np.random.default_rng(1)
    rng.integers(1, size=1)  # which slice
    one = coils.scan(images[0], mask, 8, rng)
    assert np.array_equal(rows[0, 0], one.target) and given.shape == (1, 2, 8, 32, 32) and given.is_complex()
    k_space, maps = given[0].numpy()
    again = np.abs((maps.conj() * np.asarray(coils.multicoil.inverse(k_space))).sum(0)).clip(0, 1)
    np.testing.assert_allclose(again, coils.zero_filled(one, mask), atol=1e-5)


def test_pairs_are_turned_upside_down_together(rng: np.random.Generator) -> None:
    given = rng.random((3, 6, 5)).astype(np.float16)
    shown, wanted = coils.draw_magnitudes({"given": given, "wanted": given + 1}, 16, np.random.default_rng(0))
    assert shown.shape == (16, 1, 6, 5) and torch.equal(wanted, (shown.half() + 1).float())
    ways = [image for scan in given.astype(np.float32) for image in (scan, scan[::-1])]
    seen = {next(n for n, way in enumerate(ways) if np.array_equal(way, image[0])) for image in shown.numpy()}
    assert {n % 2 for n in seen} == {0, 1}

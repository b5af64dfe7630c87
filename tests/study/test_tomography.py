from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgerecon.quality.datasets.heldout import find_heldout
from edgerecon.study import sparse_lines
from edgerecon.study.context import Context
from edgerecon.study.profile import profile
from edgerecon.study.results import Result
from edgerecon.study.systems import ct, sampling, tomography
from edgerecon.workshop.data.ct import FILTERS
from edgerecon.workshop.data.mri import fourier, zero_filled
from edgerecon.workshop.data.real_slices import CT_FILES, MR_FILES, real_slices


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Result:
    result = Result("tomography", tomography.TITLE, tomography.PAPER)
    torch.set_num_threads(1)
    tomography.run(Context(profile("smoke"), tmp_path_factory.mktemp("tomography"), result))
    return result


def test_every_method_of_the_paper_is_measured(smoke: Result) -> None:
    methods = {table.title: {row.method for row in table.rows} for table in smoke.tables}
    assert methods["CT from 60 views"] == {"FBP", "TV", ct.UNET, *ct.VARIANTS}
    assert methods["Low-dose CT, 180 views"] == {"FBP", "TV", ct.UNET}
    assert methods["MRI at 4×, variable density sampling"] == {"zero-filled", "TV", "U-Net", "U-Net + data consistency"}
    patterns = {row.split(",")[0] for row in methods["Adaptive undersampling: MRI at 4× by the pattern of the lines"]}
    assert patterns == {"random", "variable density", "greedy", "learned"}
    assert methods["Ultrasound from one scan line in 3"] == {"nearest", "linear", "cubic", "TV inpainting", "U-Net"}
    assert all(set(row.values) == {"mse", "psnr_db", "ssim", "vif"} for table in smoke.tables for row in table.rows)


def test_pictures_show_the_same_slice_and_claims_carry_figures(smoke: Result) -> None:
    for shown in smoke.pictures:
        assert len({image.shape for _, image in shown.panels}) == 1 and shown.panels[0][0] == "truth"
    assert any("512×512" in claim.text and "p99" in claim.evidence for claim in smoke.claims)
    assert sum("at least 35" in claim.text for claim in smoke.claims) == 2
    assert Path(smoke.models[0].file).is_file() and smoke.models[0].max_abs_error <= 1e-4
    held = find_heldout(Path(smoke.models[0].file), "reconstruct")
    assert held is not None and held.given.shape == held.wanted.shape and held.wanted.max() <= 1


def test_masks_have_as_many_lines_as_asked(rng: np.random.Generator) -> None:
    images = rng.random((3, 64, 64))
    for mask in (
        sampling.random_mask(64, 16, rng),
        sampling.variable_density_mask(64, 16, rng),
        sampling.greedy_mask(images, 16),
    ):
        assert mask.dtype == bool and mask.sum() == 16 and mask[32]


def test_greedy_is_greedy_and_nothing_beats_it(rng: np.random.Generator) -> None:
    """Against the definition: line after line, each tried; and against random sets."""
    images = np.cumsum(rng.standard_normal((2, 12, 12)), axis=2)

    def error(mask: np.ndarray) -> float:
        return float(np.sum(np.abs(fourier(images) * ~mask) ** 2))

    mask = np.zeros(12, bool)
    for _ in range(4):
        trials = {line: error(mask | (np.arange(12) == line)) for line in np.flatnonzero(~mask)}
        mask[min(trials, key=lambda line: trials[line])] = True
    found = sampling.greedy_mask(images, 4)
    assert np.array_equal(found, mask)
    for _ in range(50):
        assert error(found) <= error(np.isin(np.arange(12), rng.choice(12, 4, replace=False)))


def test_learned_probabilities_keep_the_rate_and_follow_the_loss() -> None:
    """Energy in one line alone: the gradient of the error asks for that line."""
    torch.manual_seed(0)
    module = sampling.LearnedSampling(torch.nn.Identity(), 16, 4)
    image = np.cos(2 * np.pi * 3 * np.arange(16) / 16)[None].repeat(16, 0)
    whole = fourier(image)
    k_space = torch.from_numpy(np.stack([whole.real, whole.imag])[None]).float()
    optimizer = torch.optim.Adam(module.parameters(), 0.02)
    for _ in range(60):
        assert float(module.probabilities().mean().detach()) == pytest.approx(0.25, abs=1e-4)
        loss = ((module(k_space)[0, 0] - torch.from_numpy(np.abs(image)).float()) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    best = set(torch.topk(module.probabilities(), 2).indices.tolist())
    assert best == {8 - 3, 8 + 3}


def test_the_learned_network_sees_the_zero_filled_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every line measured it is |F⁻¹ y| exactly, centred as the study's own operator centres it."""
    image = np.random.default_rng(0).random((16, 16))
    whole = fourier(image)
    module = sampling.LearnedSampling(torch.nn.Identity(), 16, 16)
    module.logits.data.fill_(5.0)
    monkeypatch.setattr(torch, "rand", lambda *shape, device: torch.zeros(shape, device=device))
    found = module(torch.from_numpy(np.stack([whole.real, whole.imag])[None]).float())
    np.testing.assert_allclose(found[0, 0].detach().numpy(), zero_filled(whole), atol=1e-5)


def test_lines_that_were_fired_stay_and_a_ramp_is_filled_exactly() -> None:
    ramp = np.tile(np.linspace(0, 1, 31, dtype=np.float32), (5, 1))
    np.testing.assert_allclose(sparse_lines.fill(ramp), ramp, atol=1e-3)
    image = np.random.default_rng(0).random((24, 31)).astype(np.float32)
    for found in (sparse_lines.fill(image), sparse_lines.inpaint(image, 0.01, 3)):
        np.testing.assert_allclose(found[:, :: sparse_lines.EVERY], image[:, :: sparse_lines.EVERY], atol=1e-6)
    hidden = image.copy()
    hidden[:, 1::3] = hidden[:, 2::3] = 0
    assert np.array_equal(sparse_lines.fill(hidden), sparse_lines.fill(image))


def test_a_long_study_judges_lines_by_scenes_of_their_own(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {"speckled": np.full((3, 1, 48, 48), 51, np.uint8)}
    monkeypatch.setattr(sparse_lines, "held_out", lambda *arguments: kept)
    ctx = Context(profile("smoke"), tmp_path, Result("tomography", "", ""))
    draw, check = sparse_lines.batches(ctx, np.zeros((2, 1, 48, 48), np.float32))
    assert check is not None and torch.equal(check(rng)[1], torch.full((2, 1, 48, 48), 0.2)) and not draw(rng)[1].any()


def test_pairs_are_drawn_in_eight_ways_alike(rng: np.random.Generator) -> None:
    image = np.arange(16.0).reshape(1, 4, 4)
    seen = set()
    for _ in range(100):
        source, target = ct.draw_pairs(image, image + 100, 1, rng)
        assert torch.equal(source + 100, target)
        seen.add(tuple(source.flatten().tolist()))
    assert len(seen) == 8
    assert "ramp" in FILTERS


def test_real_slices_are_read_and_scaled() -> None:
    for files in (CT_FILES, MR_FILES):
        images = real_slices(files, 64)
        assert images.shape == (len(files), 64, 64) and images.min() == 0 and images.max() == 1
        assert not images[:, 0, 0].any() and images.std(axis=(1, 2)).min() > 0.05

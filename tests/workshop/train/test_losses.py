from __future__ import annotations

import numpy as np
import pytest
import torch

from edgerecon.quality.measures.speckle import edge_preservation
from edgerecon.workshop.recipe_tables import LossTable
from edgerecon.workshop.train.edges import RADIUS, EdgePreservation
from edgerecon.workshop.train.losses import ReconstructionLoss
from edgerecon.workshop.train.ssim import SSIM


def _batches(rng: np.random.Generator, count: int = 3, shape: tuple[int, int] = (40, 52)) -> list[torch.Tensor]:
    """Output, target and input that resemble each other."""
    base = rng.random((count, 1, *shape), dtype=np.float32)
    noise = [rng.random(base.shape, dtype=np.float32) for _ in range(3)]
    return [torch.from_numpy(np.clip(0.7 * base + 0.3 * part, 0, 1)) for part in noise]


def test_edge_preservation_is_the_measure_of_the_evaluation(rng: np.random.Generator) -> None:
    a, b, _ = _batches(rng, 1)
    inside = np.zeros(a.shape[-2:], bool)  # where neither treats the border in its own way
    inside[RADIUS + 1 : -RADIUS - 1, RADIUS + 1 : -RADIUS - 1] = True
    expected = edge_preservation(a[0, 0].numpy(), b[0, 0].numpy(), inside)
    assert float(EdgePreservation()(a, b)) == pytest.approx(expected, abs=1e-5)


def test_edge_preservation_is_blind_to_gain_and_offset(rng: np.random.Generator) -> None:
    a, _, _ = _batches(rng)
    edges = EdgePreservation()
    assert float(edges(0.5 * a + 0.2, a)) == pytest.approx(1, abs=1e-4)
    assert float(edges(-a, a)) == pytest.approx(-1, abs=1e-4)
    assert float(edges(torch.zeros_like(a), a)) == 0


def test_a_crop_without_edges_is_free_to_change(rng: np.random.Generator) -> None:
    a, _, _ = _batches(rng, 2)
    faint = a.clone()
    faint[1] = 0.5 + 0.01 * (a[1] - 0.5)
    smoothed = faint.clone()
    smoothed[1] = 0.5
    assert float(EdgePreservation()(smoothed, faint)) > 0.999
    assert float(EdgePreservation()(smoothed[1:], faint[1:])) == 0


def test_the_loss_is_its_parts(rng: np.random.Generator) -> None:
    a, b, x = _batches(rng)
    relative = np.mean([float((a[i] - b[i]).abs().mean() / (x[i] - b[i]).abs().mean()) for i in range(len(a))])
    ssim, edge = float(SSIM()(a, b).mean()), float(EdgePreservation()(a, x))
    weights = LossTable(l1=0.3, ssim=2.0, edge=0.7)
    expected = 0.3 * relative + 2 * (1 - ssim) + 0.7 * (1 - edge)
    assert float(ReconstructionLoss(weights)(a, b, x)) == pytest.approx(expected, rel=1e-4)
    assert float(ReconstructionLoss(LossTable(l1=1, ssim=1))(b, b, x)) == pytest.approx(0, abs=1e-6)


def test_every_crop_counts_by_the_error_that_is_left(rng: np.random.Generator) -> None:
    a, b, x = (0.4 * part + 0.3 for part in _batches(rng, 1))
    faint = [0.5 + 0.1 * (part - 0.5) for part in (a, b, x)]
    loss = ReconstructionLoss(LossTable(l1=1, ssim=0))
    assert float(loss(*faint)) == pytest.approx(float(loss(a, b, x)), rel=1e-3)


def test_absolute_error_counts_in_grey_levels(rng: np.random.Generator) -> None:
    a, b, x = _batches(rng)
    loss = ReconstructionLoss(LossTable(l1=0, absolute=2.0, ssim=0))
    assert float(loss(a, b, x)) == pytest.approx(2 * float((a - b).abs().mean()), rel=1e-5)


def test_detail_of_the_target_counts_more() -> None:
    """A line of 0.1 above its surroundings weighs 1 + detail times as much as flat tissue."""
    b = torch.full((1, 1, 32, 32), 0.4)
    b[..., 16, :] = 0.6
    line, flat = b.clone(), b.clone()
    line[..., 16, :] -= 0.01
    flat[..., 2, :] -= 0.01
    loss = ReconstructionLoss(LossTable(l1=0, absolute=1, detail=3, ssim=0))
    assert float(loss(line, b, b)) == pytest.approx(0.04 / 32, rel=1e-3)
    assert float(loss(flat, b, b)) == pytest.approx(0.01 / 32, rel=1e-3)


def test_regions_that_stand_out_count_more() -> None:
    """The middle of a lesion of 16 pixels, 0.2 darker than tissue, weighs 1 + regions times as much as that tissue."""
    b = torch.full((1, 1, 88, 88), 0.5)
    b[..., 36:52, 36:52] = 0.3
    lesion, tissue = b.clone(), b.clone()
    lesion[..., 44, 44] -= 0.01
    tissue[..., 4, 4] -= 0.01
    loss = ReconstructionLoss(LossTable(l1=0, absolute=1, regions=3, ssim=0))
    assert float(loss(lesion, b, b)) == pytest.approx(0.04 / 88**2, rel=1e-3)
    assert float(loss(tissue, b, b)) == pytest.approx(0.01 / 88**2, rel=1e-3)


def test_crops_as_simulated_are_free_of_the_edge_term(rng: np.random.Generator) -> None:
    a, b, x = _batches(rng)
    weights = LossTable(l1=0, ssim=0, edge=1)
    expected = 1 - float(EdgePreservation()(a[2:], x[2:]))
    assert float(ReconstructionLoss(weights, plain=2)(a, b, x)) == pytest.approx(expected, rel=1e-5)
    assert float(ReconstructionLoss(weights, plain=3)(a, b, x)) == 0


def test_the_gradient_is_right(rng: np.random.Generator) -> None:
    a, b, x = _batches(rng, 1, (28, 26))
    loss = ReconstructionLoss(LossTable(l1=0, ssim=1, edge=1))  # the absolute value has no slope at its kink
    a.requires_grad_()
    loss(a, b, x).backward()
    assert a.grad is not None
    for row, column in ((0, 0), (14, 12), (27, 25)):
        step = torch.zeros_like(a)
        step[0, 0, row, column] = 3e-3
        slope = (loss(a + step, b, x) - loss(a - step, b, x)).item() / 6e-3
        assert slope == pytest.approx(a.grad[0, 0, row, column].item(), rel=0.05, abs=5e-5)

"""Multi-coil MRI against what is known in closed form: adjoints, exact unaliasing, prox maps, true sensitivities."""

from __future__ import annotations

import numpy as np
import pytest
import pywt
import torch

from edgerecon.study.systems.sampling import equispaced_mask, middle_lines, variable_density_mask
from edgerecon.workshop.data import multicoil
from edgerecon.workshop.data.texture import SLOPE, grain, textured
from edgerecon.workshop.models import unrolled_mri

SIZE, COILS = 32, 4
EVERY_OTHER = np.arange(SIZE) % 2 == 0


@pytest.fixture
def maps(rng: np.random.Generator) -> np.ndarray:
    return multicoil.coil_maps(SIZE, COILS, rng)


def drawn(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def test_back_is_the_adjoint_of_forward(rng: np.random.Generator, maps: np.ndarray) -> None:
    x, y = drawn(rng, SIZE, SIZE), drawn(rng, COILS, SIZE, SIZE)
    there, back = multicoil.forward(x, maps, EVERY_OTHER), multicoil.adjoint(y, maps, EVERY_OTHER)
    assert np.vdot(y, there) == pytest.approx(np.vdot(back, x))
    np.testing.assert_allclose(np.sum(np.abs(maps) ** 2, axis=0), 1, atol=1e-5)
    whole = np.ones(SIZE, bool)
    np.testing.assert_allclose(multicoil.adjoint(multicoil.forward(x, maps, whole), maps, whole), x, atol=1e-5)


def test_a_row_is_a_problem_of_its_own(rng: np.random.Generator, maps: np.ndarray) -> None:
    x = drawn(rng, SIZE, SIZE)
    y = multicoil.forward(x, maps, EVERY_OTHER)
    np.testing.assert_array_equal(y[:, 5:9], multicoil.forward(x[5:9], maps[:, 5:9], EVERY_OTHER))


def test_sense_takes_two_aliased_pixels_apart(rng: np.random.Generator, maps: np.ndarray) -> None:
    """Every other line folds the image once: two unknowns, four coils, solved pixel by pixel (Pruessmann, 1999)."""
    x = drawn(rng, SIZE, SIZE)
    y = multicoil.forward(x, maps, EVERY_OTHER)
    folded = 2 * multicoil.inverse(y)  # half the lines: x(w) + x(w + SIZE/2) in every coil, up to the fold's sign
    exact = np.zeros_like(x)
    half = SIZE // 2
    for row in range(SIZE):
        for column in range(half):
            pair = [column, column + half]
            exact[row, pair] = np.linalg.lstsq(maps[:, row, pair], folded[:, row, column], rcond=None)[0]
    np.testing.assert_allclose(exact, x, atol=1e-3)
    np.testing.assert_allclose(multicoil.cg_sense(y, maps, EVERY_OTHER, 0.0, 400), exact, atol=2e-3)


def test_noise_has_its_size_on_measured_lines_alone(rng: np.random.Generator, maps: np.ndarray) -> None:
    y = multicoil.measure(np.zeros((SIZE, SIZE)), maps, EVERY_OTHER, 0.02, rng)
    assert not y[..., ~EVERY_OTHER].any()
    assert np.sqrt(np.mean(np.abs(y[..., EVERY_OTHER]) ** 2)) == pytest.approx(0.02, rel=0.05)


def test_sensitivities_are_found_from_the_middle(rng: np.random.Generator) -> None:
    """Up to a phase common to all coils, which the magnitude does not see."""
    size = 64
    maps = multicoil.coil_maps(size, COILS, rng)
    y = multicoil.measure(np.ones((size, size)), maps, middle_lines(size, 0.25), 0.0, rng)
    found = multicoil.estimated_maps(y, 16)
    inside = (slice(None), slice(16, 48), slice(16, 48))
    alike = np.abs(np.sum(np.conj(found[inside]) * maps[inside], axis=0))
    assert alike.min() > 0.99, "the two vectors of sensitivities are parallel"


def test_wavelets_shrink_to_the_proximal_map(rng: np.random.Generator) -> None:
    """In an orthogonal basis argmin ½‖u − z‖² + w‖W u‖₁ leaves W(z − u) ∈ w·∂‖W u‖₁, within w where W u is 0."""
    image = rng.standard_normal((SIZE, SIZE))
    found = multicoil.shrunk(image, 0.4)
    details = pywt.wavedec2(np.stack([image - found, found]), "db4", "periodization", level=2, axes=(-2, -1))[1:]
    for away, kept in ((part[0], part[1]) for level in details for part in level):
        assert np.abs(away).max() <= 0.4 + 1e-9
        moved = np.abs(kept) > 1e-9
        np.testing.assert_allclose(away[moved], 0.4 * np.sign(kept[moved]), atol=1e-9)
    np.testing.assert_allclose(multicoil.shrunk(image, 0.0), image, atol=1e-9)


def test_compressed_sensing_lowers_its_own_cost(rng: np.random.Generator, maps: np.ndarray) -> None:
    x = np.zeros((SIZE, SIZE), complex)
    x[8:20, 10:24] = 1
    mask = variable_density_mask(SIZE, 12, rng, 0.2)
    y = multicoil.measure(x, maps, mask, 0.01, rng)
    start = multicoil.adjoint(y, maps, mask)
    for method in (multicoil.total_variation, multicoil.wavelet):
        found = method(y, maps, mask, 2e-3, 10)
        assert np.linalg.norm(np.abs(found) - np.abs(x)) < 0.7 * np.linalg.norm(np.abs(start) - np.abs(x))


def test_measured_lines_stay_as_they_were(rng: np.random.Generator, maps: np.ndarray) -> None:
    y = multicoil.measure(rng.random((SIZE, SIZE)), maps, np.ones(SIZE, bool), 0.0, rng)
    found = multicoil.data_consistent(rng.random((SIZE, SIZE)), y, maps, np.ones(SIZE, bool))
    np.testing.assert_allclose(found, multicoil.adjoint(y, maps, np.ones(SIZE, bool)), atol=1e-5)


def test_the_unrolled_network_begins_at_the_sense_image(rng: np.random.Generator, maps: np.ndarray) -> None:
    y = multicoil.measure(rng.random((SIZE, SIZE)), maps, EVERY_OTHER, 0.0, rng)
    np.testing.assert_allclose(unrolled_mri.transform(torch.from_numpy(y)), multicoil.transform(y), atol=1e-5)
    network = unrolled_mri.UnrolledMRI(torch.from_numpy(EVERY_OTHER), cascades=2, width=4)
    given = torch.from_numpy(np.stack([y, maps]))[None]
    exact = multicoil.cg_sense(y, maps, EVERY_OTHER, unrolled_mri.WEIGHT, 200)
    found = unrolled_mri.sense(*given.unbind(1), network.mask)[0].numpy()
    assert np.linalg.norm(found - exact) < 0.02 * np.linalg.norm(exact)
    k_space = np.where(EVERY_OTHER, y, multicoil.transform(maps * found))
    expected = np.abs(multicoil.adjoint(k_space, maps, np.ones(SIZE, bool)))
    np.testing.assert_allclose(network(given)[0, 0].detach(), expected, atol=1e-4)
    network(given).square().sum().backward()
    assert all(part.grad is not None for part in network.parameters())
    assert sum(part.numel() for part in unrolled_mri.UnrolledMRI(torch.ones(8)).parameters()) == 419_670


def test_equispaced_lines_are_even_and_hold_the_middle() -> None:
    mask = equispaced_mask(256, 64, 0.08)
    assert mask.sum() == 64 and mask[middle_lines(256, 0.08)].all()
    apart = np.diff(np.flatnonzero(mask & ~middle_lines(256, 0.08)))
    assert set(apart[apart < 15]) <= {5, 6}, "but for the gap of the middle"


@pytest.mark.parametrize("power", [SLOPE, 1.0])
def test_grain_falls_with_its_power_and_zero_stays_zero(power: float) -> None:
    found = grain((256, 256), np.random.default_rng(0), power)
    assert found.mean() == pytest.approx(0, abs=1e-9) and found.std() == pytest.approx(1)
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256)[None])
    near = (frequency > 0.02) & (frequency < 0.4)
    slope = np.polyfit(np.log(frequency[near]), np.log(np.abs(np.fft.fft2(found)[near])), 1)[0]
    assert slope == pytest.approx(-power, abs=0.03)
    assert not textured(np.zeros((16, 16)), 0.5, np.random.default_rng(0), power).any()

"""The simulator against physics: where a wire lands, how wide it is, what speckle looks like, what its mean is."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from edgerecon.core.errors import DataError, UsageError
from edgerecon.workshop.data.simulate import dataset, simulate
from edgerecon.workshop.data.simulate.channel import PARTS, random_channel_acquisition, split_scatterers
from edgerecon.workshop.data.simulate.expected import expected_envelope, point_spread
from edgerecon.workshop.data.simulate.plane_wave import Grid, Receive, Screen, beamform_scatterers, steering_angles
from edgerecon.workshop.data.simulate.probe import Medium, Probe
from edgerecon.workshop.data.simulate.sample import MEAN_DISPLAY, NAMES, SIZE, log_compress, simulate_sample
from edgerecon.workshop.data.simulate.scene import MARGIN, Scene, Vessel, random_scene

h5py = pytest.importorskip("h5py")

PROBE = Probe(5e6, 0.6, 0.3e-3, 0.27e-3, 128)
MEDIUM = Medium(1540.0, 0.5)
LAMBDA = MEDIUM.wavelength(PROBE)
BOXCAR = Receive(1.5, "boxcar", 1540.0)
HANN = Receive(1.5, "hann", 1540.0)


def _uniform_tissue(rng: np.random.Generator, grid: Grid, per_square_wavelength: float):  # type: ignore[no-untyped-def]
    side = grid.size * grid.spacing
    x0, x1, z0, z1 = -0.6 * side, 0.6 * side, grid.depth - 0.1 * side, grid.depth + 1.1 * side
    count = int(per_square_wavelength * (x1 - x0) * (z1 - z0) / LAMBDA**2)
    z = np.sort(rng.uniform(z0, z1, count))
    return rng.uniform(x0, x1, count), z, rng.choice([-1.0, 1.0], count).astype(np.float32)


@pytest.mark.parametrize("angle_deg", [0.0, 10.0])
@pytest.mark.parametrize("where", [(0.0, 20e-3), (4e-3, 26e-3)])
def test_wire_lands_within_half_a_wavelength(angle_deg: float, where: tuple[float, float]) -> None:
    grid = Grid(128, 0.1e-3, 17e-3)
    image = np.abs(
        beamform_scatterers(
            np.array([where[0]]),
            np.array([where[1]]),
            np.ones(1, np.float32),
            PROBE,
            MEDIUM,
            grid,
            BOXCAR,
            np.deg2rad([angle_deg]),
            (1,),
        )[0]
    )
    row, column = np.unravel_index(image.argmax(), image.shape)
    assert math.hypot(grid.x[column] - where[0], grid.z[row] - where[1]) < LAMBDA / 2


def test_lateral_width_is_that_of_the_receive_aperture() -> None:
    """Amplitude FWHM of sinc(x / λF) is 1.206·λ·F; one plane wave adds no transmit focus."""
    grid = Grid(256, 0.02e-3, 25e-3 - 128 * 0.02e-3)
    image = np.abs(
        beamform_scatterers(
            np.zeros(1),
            np.array([25e-3]),
            np.ones(1, np.float32),
            PROBE,
            Medium(1540.0, 0.0),
            grid,
            BOXCAR,
            np.zeros(1),
            (1,),
        )[0]
    )
    profile = image[image.max(axis=1).argmax()]
    width = (profile > profile.max() / 2).sum() * grid.spacing
    assert width == pytest.approx(1.206 * LAMBDA * 1.5, rel=0.15)


def test_parts_of_the_aperture_add_up_to_the_picture() -> None:
    grid = Grid(48, 0.15e-3, 18e-3)
    shot = dataclasses.replace(
        random_channel_acquisition(np.random.default_rng(0)),
        probe=PROBE,
        medium=MEDIUM,
        grid=grid,
        receive=BOXCAR,
        noise=0,
    )
    points = np.array([0.0, 1.5e-3]), np.array([20e-3, 22e-3]), np.ones(2, np.float32)
    parts = split_scatterers(*points, shot=shot)
    whole = beamform_scatterers(*points, PROBE, MEDIUM, grid, BOXCAR, np.zeros(1), (1,))[0]
    assert parts.shape == (PARTS, 48, 48) and all(np.abs(part).max() > 0.05 * np.abs(whole).max() for part in parts)
    np.testing.assert_allclose(parts.sum(0), whole, atol=2e-3 * float(np.abs(whole).max()))
    late = Screen(np.full(PROBE.elements, 0.25 / PROBE.centre_frequency), np.ones(PROBE.elements))
    turned = split_scatterers(*points, shot=shot, screen=late).sum(0)
    at = np.unravel_index(np.abs(whole).argmax(), whole.shape)
    assert abs(np.angle(-turned[at] / whole[at])) < 0.3, (
        "a quarter of a period late on either way turns the carrier round"
    )


def test_fully_developed_speckle_has_the_rayleigh_snr() -> None:
    grid = Grid(192, 0.3 * LAMBDA, 20 * LAMBDA)
    tissue = _uniform_tissue(np.random.default_rng(5), grid, 8)
    image = np.abs(beamform_scatterers(*tissue, PROBE, Medium(1540.0, 0.0), grid, BOXCAR, np.zeros(1), (1,))[0])
    image /= image.mean(axis=1, keepdims=True)  # spreading and element directivity with depth
    assert image.mean() / image.std() == pytest.approx(1.91, abs=0.1)


def test_attenuation_lowers_amplitude_and_centre_frequency() -> None:
    shift, peak = MEDIUM.downshift(PROBE, np.array([0.0, 0.06]))
    frequency = np.linspace(1e6, 9e6, 20001)
    spectrum = np.exp(-((frequency - PROBE.centre_frequency) ** 2) / (2 * PROBE.sigma**2))
    spectrum *= 10 ** (-MEDIUM.attenuation * frequency / 1e6 * 6 / 20)  # 6 cm of path
    assert frequency[spectrum.argmax()] - PROBE.centre_frequency == pytest.approx(shift[1], abs=1e3)
    assert spectrum.max() == pytest.approx(peak[1], rel=1e-3)
    assert (shift[0], peak[0]) == (0, 1)


def test_the_expected_display_keeps_the_mean_level_of_speckle(rng: np.random.Generator) -> None:
    """The mean of the displayed level of Rayleigh speckle, not the level of its mean envelope."""
    envelope = rng.rayleigh(1.0, 400_000)
    shown = log_compress(envelope, 40.0, 60.0).astype(float).mean()
    expected = float(log_compress(np.array([MEAN_DISPLAY * envelope.mean()]), 40.0, 60.0)[0])
    assert abs(shown - expected) < 1


def test_expected_envelope_is_the_mean_over_draws() -> None:
    rng = np.random.default_rng(11)
    grid = Grid(SIZE, 0.32 * LAMBDA, 15 * LAMBDA)
    angles = steering_angles(15, math.radians(10))
    scene = random_scene(np.random.default_rng(4))
    psfs = point_spread(PROBE, MEDIUM, grid, HANN, angles)
    margin = int(MARGIN * SIZE)
    expected = expected_envelope(scene.power(SIZE, margin, 0.0) * np.float32(0.32**2), margin, psfs, None)
    side = SIZE * grid.spacing
    draws = []
    for _ in range(5):
        count = int(6 * (side * (1 + 2 * MARGIN) / LAMBDA) ** 2)
        x, y = rng.uniform(-0.5 - MARGIN, 0.5 + MARGIN, count), rng.uniform(-MARGIN, 1 + MARGIN, count)
        strength = rng.choice([-1.0, 1.0], count) * scene.strength(x, y) / math.sqrt(6)
        order = np.argsort(y)
        depth = grid.depth + (y[order] * SIZE - 0.5) * grid.spacing
        tissue = x[order] * side, depth, strength[order].astype(np.float32)
        draws.append(np.abs(beamform_scatterers(*tissue, PROBE, MEDIUM, grid, HANN, angles, (15,))[0]))
    blocks = np.mean(draws, axis=0).reshape(16, 16, 16, 16).mean(axis=(1, 3))
    seen = blocks > blocks.max() * 10 ** (-40 / 20)
    difference = 20 * np.log10(expected.reshape(16, 16, 16, 16).mean(axis=(1, 3)) / blocks)[seen]
    assert seen.mean() > 0.8
    assert abs(difference.mean()) < 0.25
    assert difference.std() < 0.9  # 5 draws of the some ten speckle cells in a block leave about 0.7 dB


def test_compounding_subsets_are_even() -> None:
    angles = steering_angles(31, 0.2)
    assert angles[0] == 0
    for count in (3, 7):
        gaps = np.diff(np.sort(angles[:count]))
        assert gaps == pytest.approx(gaps[0])
    assert np.sort(angles) == pytest.approx(np.linspace(-0.2, 0.2, 31))


def test_rest_undoes_move() -> None:
    vessel = Vessel(0.1, 0.5, 0.1, None, 0.2, 0.5, -30.0)
    tube = Vessel(0.0, 0.3, 0.05, 0.2, 0.1, 0.0, -30.0)
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-0.5, 0.5, 500), rng.uniform(0, 1, 500)
    for wall in (vessel, tube):
        back = wall.rest(*wall.move(x, y, 0.37, 1.2), 0.37, 1.2)
        assert np.allclose(back, (x, y), atol=1e-9)


def test_motion_moves_scatterers_and_map_alike() -> None:
    scene = Scene(np.zeros((512, 512), np.float32), np.zeros((0, 3)), drift=(0.02, 0.0))
    scene.echogenicity_db[:, 256:] = -40
    still, moved = scene.power(64, 4, 0.0), scene.power(64, 4, 1 / 1.2)
    assert np.argmax(still[10] < 0.5) + 1 == np.argmax(moved[10] < 0.5)  # 0.02 sides of 64 pixels


def test_log_compression_spans_the_dynamic_range() -> None:
    envelope = np.array([1.0, 10 ** (-30 / 20), 10 ** (-60 / 20), 0.0, 2.0])
    assert log_compress(envelope, 1.0, 60).tolist() == [255, 128, 0, 0, 255]


def _small_sample(seed: int, index: int, frames: int):  # type: ignore[no-untyped-def]
    image = np.full((4, 4) if frames == 1 else (frames, 4, 4), 10 * seed + index, np.uint8)
    return {"pw31": image, "clean": image}, {"spacing_mm": 0.1}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the acoustics and the process pool; what is left is the file."""
    monkeypatch.setattr(
        dataset,
        "_in_order",
        lambda job, indices, workers: ((i, _small_sample(job.args[1], i, job.args[2])) for i in indices),
    )


@pytest.mark.usefixtures("quick")
class TestFile:
    def test_resumes_after_an_interruption(self, tmp_path: Path) -> None:
        path = tmp_path / "a.h5"

        def stop(done: int, total: int) -> None:
            if done == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            simulate(path, 5, 1, on_sample=stop)
        assert not path.exists()
        assert simulate(path, 5, 1) == 2
        with h5py.File(path) as file:
            assert [int(group["clean"][0, 0]) for group in file.values()] == [10, 11, 12, 13, 14]
            assert file.attrs["format"] == "edgerecon-pairs/1"

    def test_a_finished_file_is_extended(self, tmp_path: Path) -> None:
        assert simulate(tmp_path / "a.h5", 2, 1) == 2
        assert simulate(tmp_path / "a.h5", 2, 1) == 0
        assert simulate(tmp_path / "a.h5", 3, 1) == 1

    def test_unreadable_leftovers_are_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "a.h5.partial").write_bytes(b"\x89HDF broken")
        assert simulate(tmp_path / "a.h5", 1, 1) == 1

    def test_another_seed_is_refused(self, tmp_path: Path) -> None:
        simulate(tmp_path / "a.h5", 1, 1)
        with pytest.raises(DataError, match="another seed"):
            simulate(tmp_path / "a.h5", 2, 2)

    def test_a_foreign_file_is_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "a.h5"
        path.write_text("my thesis")
        with pytest.raises(DataError, match="not an HDF5 file"):
            simulate(path, 1, 1)
        assert path.read_text() == "my thesis"

    def test_an_unwritable_place_is_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(DataError, match="cannot write"):
            simulate(tmp_path / "file" / "a.h5", 1, 1)

    def test_counts_must_be_positive(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError):
            simulate(tmp_path / "a.h5", 0, 1)


def test_the_same_seed_gives_the_same_file(tmp_path: Path) -> None:
    """Real acoustics, in a process of its own and in this one; equal to the byte."""
    simulate(tmp_path / "a.h5", 1, 7, workers=2)
    simulate(tmp_path / "b.h5", 1, 7, spread=map)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    with h5py.File(tmp_path / "a.h5") as file:
        sample = file["sample_00000"]
        assert {name: sample[name].shape for name in sample} == dict.fromkeys(NAMES, (SIZE, SIZE))
        assert sample.attrs["spacing_mm"] > 0
        clean = sample["clean"][:].astype(float)
        errors = [np.mean((sample[name][:] - clean) ** 2) for name in ("pw1", "pw31")]
    assert errors[1] < errors[0]  # more angles come closer to the speckle-free image


def test_a_sequence_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgerecon.workshop.data.simulate.sample.SIZE", 64)
    images, _ = simulate_sample(7, 1, frames=2)
    assert {name: image.shape for name, image in images.items()} == dict.fromkeys(NAMES, (2, 64, 64))
    assert (images["clean"][0] != images["clean"][1]).any()
    change = np.corrcoef(images["pw31"][0].ravel(), images["pw31"][1].ravel())[0, 1]
    assert 0.3 < change < 1  # the same speckle, moved; not another draw

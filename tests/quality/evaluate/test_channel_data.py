"""Beamforming judged by the field's measures, on a made-up data set of the PICMUS challenge and its phantom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from edgerecon.beamform import Acquisition, linear_array, plane_wave
from edgerecon.cli.main import app
from edgerecon.core.errors import DataError, SourceError
from edgerecon.quality.evaluate.channel_data import evaluate_channel_data
from edgerecon.quality.picmus_phantom import phantom_beside, read_picmus_phantom
from tests.beamform.formulas import CARRIER, RATE, SPEED, scatterers_echoes

h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install 'edgerecon[stream]'")
WIRES, CYST = [(-2e-3, 18e-3), (2.5e-3, 24e-3)], (0.0, 20e-3, 4e-3)
GRID = "grid=-5:5:0.1,16:26:0.05&fnumber=1.5"
ROOT = "US/US_DATASET0000"
FIELDS: dict[str, Any] = {
    "phantom_xPts": [x for x, _ in WIRES],
    "phantom_zPts": [z for _, z in WIRES],
    "phantom_occlusionCenterX": [CYST[0]],
    "phantom_occlusionCenterZ": [CYST[1]],
    "phantom_occlusionDiameter": [CYST[2]],
    "phantom_RoiCenterX": [-3e-3, 3e-3],
    "phantom_RoiCenterZ": [24e-3, 19e-3],
    "phantom_RoiPsfTimeX": [6.0, 6.0],
    "phantom_RoiPsfTimeZ": [8.0, 8.0],
    "phantom_lateralResolution": [0.55e-3],
    "phantom_axialResolution": [0.5e-3],
}


def phantom_file(path: Path, **changes: Any) -> Path:
    with h5py.File(path, "w") as file:
        for key, value in (FIELDS | changes).items():
            if value is not None:
                file[f"{ROOT}/{key}"] = np.asarray(value, np.float32)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Speckle around a cyst and two wires in it, plane wave, and what it holds."""
    start, rng = 8e-6, np.random.default_rng(3)
    acquisition = Acquisition(linear_array(64, 0.3e-3), (plane_wave(0.0, start),), 700, RATE, CARRIER, SPEED, iq=False)
    x, z = rng.uniform(-6e-3, 6e-3, 5200), rng.uniform(15e-3, 27e-3, 5200)
    outside = np.hypot(x - CYST[0], z - CYST[1]) >= CYST[2] / 2
    strength = rng.choice([-1.0, 1.0], x.size)[outside]
    wires = np.array(WIRES)
    x, z = np.append(x[outside], wires[:, 0]), np.append(z[outside], wires[:, 1])
    data = scatterers_echoes(acquisition, x, z, np.append(strength, [80.0, 80.0]))
    made = tmp_path_factory.mktemp("picmus")
    with h5py.File(made / "contrast_simu_dataset_rf.hdf5", "w") as file:
        group = file.create_group(ROOT)
        group["data/real"], group["data/imag"] = data, 0 * data
        group["angles"] = np.zeros(1, np.float32)
        place = acquisition.probe.element_x_m
        group["probe_geometry"] = np.stack([place, 0 * place, 0 * place]).astype(np.float32)
        for key, value in (("sampling_frequency", RATE), ("initial_time", start), ("sound_speed", SPEED)):
            group[key] = np.array([value])
    phantom_file(made / "contrast_simu_phantom.hdf5")
    return made


def test_a_phantom_of_the_challenge_says_where_to_measure(native: None, folder: Path) -> None:
    found = evaluate_channel_data(f"{folder / 'contrast_simu_dataset_rf.hdf5'}?{GRID}", ["das", "cf"])
    assert found.targets.given and len(found.targets.wires) == len(found.targets.speckle) == 2
    das, cf = found.rows
    assert das.distortion_mm < SPEED / CARRIER / 2 * 1e3
    assert das.lateral_fwhm_mm == pytest.approx(2.0 * 1.5 * SPEED / CARRIER * 1e3, rel=0.1), "a Hann window's 2 λF"
    assert das.axial_fwhm_mm == pytest.approx(np.sqrt(np.log(2)) / 2.5e6 * SPEED * 1e3, rel=0.1)
    assert das.side_lobe_db < -15 and das.contrast_db < -10 and das.gcnr > 0.7 and das.cnr > 0.5
    assert das.speckle_snr == pytest.approx(1.91, abs=0.3) and das.ks_p > 0.05
    assert cf.lateral_fwhm_mm < das.lateral_fwhm_mm and cf.speckle_snr < das.speckle_snr
    assert all(row.form_ms > 0 for row in found.rows)


def test_the_verb_prints_and_writes_the_measures(native: None, folder: Path, tmp_path: Path) -> None:
    data, written = f"{folder / 'contrast_simu_dataset_rf.hdf5'}?{GRID}", tmp_path / "a.json"
    regions = folder / "contrast_simu_phantom.hdf5"
    arguments = ["evaluate", "das", "--data", data, "--regions", str(regions), "--json", str(written)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "2 wires, 1 cysts, 2 regions of speckle, given" in " ".join(done.output.split())
    (row,) = json.loads(written.read_text())["rows"]
    assert row["method"] == "das" and row["wires"] == 2 and row["distortion_mm"] < 0.16


def test_only_a_phantom_of_the_same_name_lies_beside(folder: Path, tmp_path: Path) -> None:
    assert phantom_beside(folder / "contrast_simu_dataset_iq.hdf5") == folder / "contrast_simu_phantom.hdf5"
    assert phantom_beside(folder / "other_simu_dataset_iq.hdf5") is None
    assert phantom_beside(folder / "contrast_simu.hdf5") is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"phantom_zPts": None}, "phantom_zPts is missing"),
        ({"phantom_zPts": [1.0]}, "phantom_xPts, phantom_zPts do not fit each other"),
        ({"phantom_occlusionDiameter": [np.nan]}, "phantom_occlusionDiameter do not fit each other, or are not finite"),
        (dict.fromkeys(FIELDS) | {"other": 1.0}, "names no wires, cysts or regions"),
    ],
)
def test_wrong_fields_of_a_phantom_are_named(tmp_path: Path, changes: dict, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        read_picmus_phantom(phantom_file(tmp_path / "a.hdf5", **changes))
    assert "\n" not in str(caught.value)


def test_what_cannot_be_judged_is_refused(folder: Path, tmp_path: Path) -> None:
    data = folder / "contrast_simu_dataset_rf.hdf5"
    far = phantom_file(tmp_path / "far.hdf5", phantom_occlusionCenterX=[50e-3])
    for name, targets, error, words in (
        (f"{data}?{GRID}", far, DataError, "outside the picture"),
        (f"{data}?grid=polar,10:30:0.2,-20:20:1", None, DataError, "Cartesian grid"),
        (f"{data}?{GRID}", tmp_path / "none.hdf5", SourceError, "none.hdf5"),
    ):
        with pytest.raises(error, match=words) as caught:
            evaluate_channel_data(name, ["das"], targets)
        assert "\n" not in str(caught.value)

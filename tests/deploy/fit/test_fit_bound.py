"""The bound for a device that is not here, against the roofline by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgerecon.cli.main import main
from edgerecon.core.errors import DataError, UsageError
from edgerecon.core.shipped import resource_dir
from edgerecon.deploy.fit.fit import Requirement
from edgerecon.deploy.fit.fit_bound import fit_bound
from edgerecon.hardware.device import load_device


@pytest.fixture
def models(tmp_path: Path) -> Path:
    shutil.copy(resource_dir("export") / "compact-despeckle.onnx", tmp_path)
    return tmp_path


def test_the_bound_is_the_arithmetic_over_the_documented_rate(models: Path) -> None:
    found = fit_bound("h200", Requirement(1.0), models=models, shape=(256, 512))
    (one,) = found.bounds
    rate, bandwidth = load_device("h200").peak["fp32"], load_device("h200").bandwidth_gbs
    assert bandwidth is not None
    compute = 2 * 2848 * 256 * 512 / (rate * 1e9) * 1e3
    memory = 4 * (2 * 256 * 512 + 28_452) / (bandwidth * 1e9) * 1e3
    assert one.roofline.ms == pytest.approx(max(compute, memory), rel=1e-3)
    assert found.possible == [one] and "not a measurement" in found.sentence
    plain = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert plain["is_a_measurement"] is False and plain["bounds"][0]["bound_ms"] == one.roofline.ms


def test_what_is_ruled_out_is_said(models: Path) -> None:
    found = fit_bound("jetson-nano", Requirement(0.01), models=models)
    assert not found.possible and found.sentence.startswith("Ruled out on jetson-nano")
    assert not fit_bound("h200", Requirement(9.0, min_ssim=0.999), models=models).possible


def test_what_has_no_bound_is_one_line(models: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no device 'toaster'"):
        fit_bound("toaster", Requirement(1.0), models=models)
    with pytest.raises(UsageError, match="no documented rate"):
        fit_bound("pynq-z2", Requirement(1.0), models=models)
    with pytest.raises(DataError, match="no model for the task 'upscale'"):
        fit_bound("h200", Requirement(1.0), task="upscale", models=models)
    with pytest.raises(UsageError, match=r"no documented memory bandwidth.*devices/jetson-xavier-nx.toml"):
        fit_bound("jetson-xavier-nx", Requirement(1.0), models=models)


def test_the_page_of_a_bound_is_written(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "fit.html"
    words = ["fit", "--deadline", "5ms", "--device", "jetson-agx-orin", "--models", str(models), "-o", str(page)]
    monkeypatch.setattr("sys.argv", ["edgerecon", *words])
    with pytest.raises(SystemExit, match="0"):
        main()
    text = page.read_text()
    one = fit_bound("jetson-agx-orin", Requirement(5.0), models=models).bounds[0]
    assert "compact-despeckle" in text and f"{one.roofline.ms:.3f}" in text and "not a measurement" in text
    assert "DS-10662-001" in text and "204.8" in text, "each rate with the document behind it"

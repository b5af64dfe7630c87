"""Channel data through a model that weighs the parts of the aperture."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edgerecon.cli.main import app
from edgerecon.core.errors import UsageError
from edgerecon.stream.engines import Engines
from edgerecon.stream.sources import open_source
from edgerecon.stream.sources.channel.channel import ChannelSource
from edgerecon.stream.sources.channel.learned import is_learned
from tests.stream.sources.test_channel_sources import PLANE, POINTS, raw_data, zea, zea_scan

pytest.importorskip("h5py", reason="h5py is not installed: pip install 'edgerecon[stream]'")
MODEL = "compact-beamform"
OPTIONS = f"beamform={MODEL}&backend=onnxruntime&grid=-5:5:0.1,8:16:0.1"


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return zea(tmp_path_factory.mktemp("channel") / "a.hdf5", raw_data(PLANE[:1]), **zea_scan(PLANE[:1]))


def test_the_picture_follows_the_gain_of_the_echoes(recording: Path) -> None:
    with closing(open_source(f"{recording}?{OPTIONS}")) as source:
        assert isinstance(source, ChannelSource)
        signals = np.asarray(source.read(0))
        found, stages_ms = source.form.formed(signals)
        louder, _ = source.form.formed(1000 * signals)
        silent, _ = source.form.formed(0 * signals)
    assert found.shape == (81, 101) and found.dtype == np.float32
    assert set(stages_ms) == {"demodulate", "beamform", "network"}
    np.testing.assert_allclose(louder, 1000 * found, rtol=2e-2, atol=1e3 * 1e-4 * float(found.max()))
    assert not silent.any()
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert min(np.hypot(-5 + column / 10 - x * 1e3, 8 + row / 10 - z * 1e3) for x, z in POINTS) < 0.2


def test_it_plays_and_is_written_like_a_method(recording: Path, tmp_path: Path) -> None:
    with closing(open_source(f"{recording}?{OPTIONS}")) as source:
        frames = list(source.frames())
    assert len(frames) == 2 and all(one.image is not None for one in frames)
    assert frames[0].image.max() == 1 and "network" in frames[0].stages_ms
    done = CliRunner().invoke(
        app, ["beamform", f"{recording}?{OPTIONS}", "-o", str(tmp_path / "a.npz"), "--frames", "1"]
    )
    assert done.exit_code == 0, done.output
    assert "network" in done.output and np.load(tmp_path / "a.npz")["beamformed"].shape == (1, 81, 101)


def test_it_is_judged_beside_delay_and_sum(recording: Path, tmp_path: Path) -> None:
    targets = tmp_path / "targets.json"
    targets.write_text(f'{{"wires": [[{POINTS[0][0] * 1e3}, {POINTS[0][1] * 1e3}]]}}')
    words = ["evaluate", MODEL, "--data", f"{recording}?grid=-5:5:0.1,8:16:0.1", "--regions", str(targets)]
    done = CliRunner().invoke(app, [*words, "--backend", "onnxruntime"])
    assert done.exit_code == 0, done.output
    assert "das" in done.output and MODEL in done.output


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (
            "beamform-me",
            "beamform 'beamform-me' is unknown: known are cf, das, .*compact-beamform, or an .onnx file that",
        ),
        ("compact-despeckle", "compact-despeckle is for pictures"),
    ],
)
def test_what_does_not_beamform_is_refused(recording: Path, method: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_source(f"{recording}?beamform={method}")


def test_settings_that_a_model_does_not_take_are_refused(recording: Path) -> None:
    for option in ("compounding=incoherent", "fnumber=0", "window=hann"):
        with pytest.raises(UsageError, match="parts of the aperture|weighs the aperture itself"):
            open_source(f"{recording}?{OPTIONS}&{option}")


def test_pictures_do_not_go_through_a_beamformer() -> None:
    with Engines("onnxruntime") as engines, pytest.raises(UsageError, match="--beamform compact-beamform"):
        engines.open(MODEL)


def test_methods_and_picture_models_are_not_learned_beamformers() -> None:
    assert is_learned(MODEL) and not any(map(is_learned, ("das", "compact-despeckle", "nobody")))

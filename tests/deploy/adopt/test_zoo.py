"""Every network of the zoo is adopted as what it is, or its range is asked for and then it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from edgerecon.core.errors import GateError, UsageError
from edgerecon.core.frame import Image
from edgerecon.deploy.adopt.adopt import Adoption, adopt
from edgerecon.deploy.adopt.frames import centre_crop, trial_frames
from edgerecon.deploy.adopt.inspect import Asked
from edgerecon.deploy.adopt.ranges import parse_range
from edgerecon.engines import open_engine
from tests.support.foreign_networks import ZOO, Foreign, build, recurrent, truth

ASKED = {"dncnn-signed", "srresnet-3-signed", "dncnn-imagenet", "dncnn-imagenet-nhwc", "rrdb-imagenet-half"}
"""Networks that do the same in [0, 1] as in their own range: nothing but the border tells, and nobody says which."""
LEVEL = 1 / 255


@pytest.fixture(scope="module")
def frame() -> Image:
    return trial_frames()[0]


def saved(folder: Path, model: onnx.ModelProto) -> Path:
    path = folder / "foreign.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def told(adoption: Adoption, what: str) -> str:
    return next(one.found for one in adoption.findings if one.what == what)


@pytest.mark.parametrize("network", ZOO, ids=lambda network: network.name)
def test_adopted_network_gives_its_own_pictures(network: Foreign, tmp_path: Path, frame: Image) -> None:
    model = build(network)
    path, out = saved(tmp_path, model), tmp_path / "adopted.onnx"
    asked = Asked()
    if network.name in ASKED:
        with pytest.raises(UsageError, match="--range"):
            adopt(path, out)
        assert not out.exists()
        asked = Asked(given=parse_range(network.given))
    adopt(path, out, asked)
    picture = centre_crop(frame, network.size or (72, 88))
    engine = open_engine(out, "onnxruntime")
    assert np.abs(engine.run(picture) - np.clip(truth(network, model, picture), 0, 1)).max() < LEVEL
    engine.close()


def test_tiles_of_a_fixed_network_join_without_seams(tmp_path: Path, frame: Image) -> None:
    network = next(one for one in ZOO if one.stiff)
    assert network.size
    adoption = adopt(saved(tmp_path, build(network)), tmp_path / "adopted.onnx")
    assert adoption.spec.tile == network.size
    engine = open_engine(adoption.path, "onnxruntime")
    free = network.but(axes="NCHW", size=None)
    assert np.abs(engine.run(frame) - truth(free, build(free), frame)).max() < LEVEL


def test_network_that_sees_all_of_its_tile_is_refused(tmp_path: Path) -> None:
    network = Foreign("squeeze", body="squeeze", size=(64, 96), stiff=True)
    path = saved(tmp_path, build(network))
    with pytest.raises(GateError, match="tiles of it would show seams"):
        adopt(path, tmp_path / "adopted.onnx", Asked(given=parse_range("0..1")))


def test_multiples_of_the_size_are_the_least_that_run(tmp_path: Path) -> None:
    path = saved(tmp_path, build(Foreign("deep", body="pools-by-32")))
    asked = Asked(given=parse_range("0..1"))
    assert adopt(path, tmp_path / "adopted.onnx", asked).spec.size_multiple == 32


def test_state_is_carried_under_one_name(tmp_path: Path, frame: Image) -> None:
    adoption = adopt(saved(tmp_path, recurrent()), tmp_path / "adopted.onnx")
    assert told(adoption, "state") == "cell_in → cell_out, hidden_in → hidden_out"
    assert (adoption.spec.state_channels, adoption.spec.state_divisor) == (4, 1)
    engine = open_engine(adoption.path, "onnxruntime")
    first, second = (np.array(engine.run(frame)) for _ in range(2))
    engine.reset()
    assert np.array_equal(engine.run(frame), first) and not np.allclose(second, first)


@pytest.mark.parametrize("kind", ["number", "map"])
def test_noise_level_is_asked_for_and_built_in(kind: str, tmp_path: Path, frame: Image) -> None:
    network = Foreign("noisy", noise=kind, given="0..255")
    model = build(network)
    path, out = saved(tmp_path, model), tmp_path / "adopted.onnx"
    with pytest.raises(UsageError, match="--noise-level"):
        adopt(path, out)
    adopt(path, out, Asked(noise_level=25))
    found = open_engine(out, "onnxruntime").run(frame)
    assert np.abs(found - np.clip(truth(network, model, frame, 25 / 255), 0, 1)).max() < 1e-4
    with pytest.raises(UsageError, match="asks for no noise level"):
        adopt(saved(tmp_path, build(ZOO[0])), out, Asked(noise_level=25))


def test_reach_and_arithmetic_are_measured(tmp_path: Path) -> None:
    spec = adopt(saved(tmp_path, build(Foreign("rrdb", body="rrdb"))), tmp_path / "adopted.onnx").spec
    limiter = 2 * 9 + 2
    assert spec.receptive_field == 9
    assert spec.macs_per_pixel == 5 * limiter + 2 * 3
    assert spec.size_multiple == 1
    unet = adopt(saved(tmp_path, build(Foreign("unet", body="unet"))), tmp_path / "adopted.onnx").spec
    assert unet.size_multiple == 4


def test_network_that_gives_nan_is_refused(tmp_path: Path) -> None:
    def spoil(model: onnx.ModelProto) -> None:
        """x / x is NaN on black alone."""
        last = model.graph.node[-1].input[0]
        model.graph.node.pop()
        for kind, inputs, output in (
            ("Div", ["x", "x"], "one"),
            ("Mul", [last, "one"], "y"),
        ):
            model.graph.node.append(onnx.helper.make_node(kind, inputs, [output]))

    path = saved(tmp_path, build(Foreign("nan", spoil=spoil)))
    with pytest.raises((GateError, UsageError)) as caught:
        adopt(path, tmp_path / "adopted.onnx")
    assert isinstance(caught.value, UsageError), "the trial meets the NaN first and finds no range"
    with pytest.raises(GateError, match="NaN or infinity"):
        adopt(path, tmp_path / "adopted.onnx", Asked(given=parse_range("0..1")))
    assert not (tmp_path / "adopted.onnx").exists()

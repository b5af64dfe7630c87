"""The networks of super-resolution: what they start as, what they see, what they cost, what their files do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from edgerecon.core.errors import UsageError
from edgerecon.deploy.export.network_file import save_network
from edgerecon.engines import open_engine
from edgerecon.workshop.models import build_model
from edgerecon.workshop.models.enlarge import Bicubic
from edgerecon.workshop.models.network import Network
from edgerecon.workshop.models.sr_discriminator import SRDiscriminator

SMALL = {
    "srcnn": {"width": 4},
    "srresnet": {"width": 4, "blocks": 1},
    "rrdb": {"width": 4, "growth": 2, "blocks": 1},
}
CASES = [(name, scale) for name in SMALL for scale in (2, 4)]


def _small(name: str, scale: int) -> Network:
    torch.manual_seed(0)
    return build_model(name, scale=scale, **SMALL[name]).eval()


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (17, 12)])
def test_the_enlargement_is_that_of_torch(scale: int, shape: tuple[int, int]) -> None:
    x = torch.rand(2, 1, *shape)
    expected = F.interpolate(x, scale_factor=scale, mode="bicubic", align_corners=False)
    torch.testing.assert_close(Bicubic(scale)(x), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("name", "scale"), CASES)
def test_it_starts_as_the_enlargement(name: str, scale: int) -> None:
    x = 0.4 + 0.2 * torch.rand(1, 1, 20, 14)  # without overshoot below black, which SRCNN's ReLU would cut
    found = _small(name, scale)(x)
    assert found.shape == (1, 1, 20 * scale, 14 * scale)
    torch.testing.assert_close(found, Bicubic(scale)(x), atol=0.01, rtol=0)


@pytest.mark.parametrize(("name", "scale"), CASES)
def test_the_receptive_field_is_exact(name: str, scale: int) -> None:
    """Of the output pixel of a cell that sees most; every weight positive, so that nothing cancels."""
    network = _small(name, scale).double()
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, 0.05)
    network.enlarge.kernel.abs_()  # type: ignore[union-attr, operator]
    widest = 0
    for phase in range(scale):
        x = torch.rand(1, 1, 90, 3, dtype=torch.float64, requires_grad=True)
        network(x)[0, 0, 45 * scale + phase, scale].backward()
        assert x.grad is not None
        rows = torch.nonzero(x.grad[0, 0].abs().sum(1)).flatten()
        widest = max(widest, int(rows.max() - rows.min()) + 1)
    assert network.receptive_field == widest


@pytest.mark.parametrize(("name", "scale"), CASES)
def test_multiply_accumulates_are_those_that_torch_counts(name: str, scale: int) -> None:
    network = _small(name, scale)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.rand(1, 1, 16, 16))
    assert network.macs_per_pixel() == counter.get_total_flops() / 2 / 256


def test_the_figures_of_the_published_shapes() -> None:
    """9-1-5 of 64 and 32 channels: 8 032 weights; RRDB of 23 blocks: 16.7 million, as ESRGAN's."""
    srcnn, rrdb = build_model("srcnn"), build_model("rrdb")
    assert sum(p.numel() for name, p in srcnn.named_parameters() if "weight" in name) == 81 * 64 + 64 * 32 + 25 * 32
    assert srcnn.receptive_field == 10 and srcnn.macs_per_pixel() == 32_228
    assert rrdb.count_parameters() == pytest.approx(16.7e6, rel=0.01)
    assert build_model("srresnet").count_parameters() == pytest.approx(1.38e6, rel=0.01)


@pytest.mark.parametrize("name", list(SMALL))
def test_its_file_does_the_same_on_every_engine(name: str, tmp_path: Path) -> None:
    network = _small(name, 2)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    path = tmp_path / "sr.onnx"
    assert save_network(network, path, name="sr", task="super-resolution") < 1e-5
    frame = np.random.default_rng(0).random((13, 18), dtype=np.float32)
    expected = network(torch.from_numpy(frame)[None, None]).detach().clamp(0, 1)[0, 0].numpy()
    for backend in ("onnxruntime", "openvino", "pytorch"):
        engine = open_engine(path, backend, threads=1)
        np.testing.assert_allclose(engine.run(frame), expected, atol=1e-5)
        engine.close()


@pytest.mark.parametrize(
    ("name", "params"),
    [("srcnn", {"scale": 5}), ("srcnn", {"width": 1}), ("srresnet", {"scale": 3}), ("rrdb", {"growth": 0})],
)
def test_shapes_that_make_no_sense_are_refused(name: str, params: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=f"model family '{name}': {next(iter(params))}: it should be"):
        build_model(name, **params)


def test_the_discriminator_judges_crops_of_any_size() -> None:
    judge = SRDiscriminator(4)
    assert judge(torch.rand(2, 1, 16, 24)).shape == (2, 1)
    assert sum(p.numel() for p in SRDiscriminator().parameters()) == pytest.approx(5.2e6, rel=0.01)

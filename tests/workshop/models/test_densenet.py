from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from edgerecon.core.errors import DataError, ModelError, UsageError
from edgerecon.deploy.export.network_file import save_network
from edgerecon.engines import open_engine
from edgerecon.workshop.models import build_model
from edgerecon.workshop.models.densenet import DenseNet


def _small(classes: int = 3) -> DenseNet:
    torch.manual_seed(0)
    return DenseNet(classes, (1, 2), growth=4, width=8).eval()


@pytest.mark.parametrize("shape", [(1, 1), (32, 64), (33, 47)])
def test_it_gives_probabilities_for_any_size(shape: tuple[int, int]) -> None:
    found = _small()(torch.rand(2, 1, *shape))
    assert found.shape == (2, 1, 1, 3)
    torch.testing.assert_close(found.sum(-1), torch.ones(2, 1, 1))


def test_the_published_shape() -> None:
    """201 layers: 200 convolutions and the fully connected one; 18.1 million parameters without ImageNet's classes."""
    network = build_model("densenet")
    assert sum(isinstance(part, torch.nn.Conv2d) for part in network.modules()) == 200
    assert network.count_parameters() == pytest.approx(18.1e6, rel=0.01)
    assert network.receptive_field == 3863


def test_multiply_accumulates_and_receptive_field() -> None:
    network = _small().double()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.net.features(torch.rand(1, 1, 64, 64, dtype=torch.float64))
    assert network.macs_per_pixel() == counter.get_total_flops() / 2 / 64**2
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, 0.1)
    x = torch.rand(1, 1, 160, 160, dtype=torch.float64, requires_grad=True)
    network.net.features(x)[0, :, 10, 10].sum().backward()
    assert x.grad is not None
    rows = torch.nonzero(x.grad[0, 0].abs().sum(1)).flatten()
    inner = int(rows.max() - rows.min()) + 1
    assert network.receptive_field - 4 <= inner <= network.receptive_field  # max-pooling passes one path of nine


def test_its_file_gives_the_same_probabilities(tmp_path: Path) -> None:
    network, path = _small(2), tmp_path / "classifier.onnx"
    assert save_network(network, path, name="classifier", task="classification") < 1e-5
    frame = np.random.default_rng(0).random((40, 21), dtype=np.float32)
    engine = open_engine(path, "onnxruntime", threads=1)
    expected = network(torch.from_numpy(frame)[None, None])[0, 0].detach().numpy()
    np.testing.assert_allclose(engine.run(frame), expected, atol=1e-5)


@pytest.mark.parametrize("pattern", ["denselayer{}.{}.{}.", "denselayer{}.{}{}."])
def test_transfer_learning_takes_torchvisions_weights(tmp_path: Path, pattern: str) -> None:
    """Both of its spellings; a first layer of three colours is summed, since a grey frame has three equal ones."""
    import re

    source, weights = _small(), {}
    for name, value in source.net.features.state_dict().items():
        renamed = re.sub(r"denselayer(\d+)\.layers\.(norm|conv)(\d)\.", lambda m: pattern.format(*m.groups()), name)
        weights[f"features.{renamed}"] = value.repeat(1, 3, 1, 1) / 3 if name == "conv0.weight" else value
    weights["classifier.weight"] = torch.zeros(1000, 5)
    torch.save(weights, tmp_path / "weights.pth")
    network = DenseNet(2, (1, 2), growth=4, width=8)
    network.load_weights(tmp_path / "weights.pth")
    x = torch.rand(1, 1, 32, 32)
    torch.testing.assert_close(network.eval().net.features(x), source.net.features(x))


@pytest.mark.parametrize("content", [b"", b"no weights", None])
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "weights.pth"
    if content is None:
        torch.save({"features.conv0.weight": torch.zeros(8, 1, 7, 7)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(DataError if content is not None else ModelError, match="weights"):
        _small().load_weights(path)


def test_one_class_is_refused() -> None:
    with pytest.raises(UsageError, match="classes"):
        build_model("densenet", classes=1)

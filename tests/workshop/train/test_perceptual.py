from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edgerecon.core.errors import DataError, ModelError
from edgerecon.workshop.models.densenet import DenseNet
from edgerecon.workshop.train import perceptual
from edgerecon.workshop.train.perceptual import OwnFeatures, PerceptualLoss, VGG19Features, vgg19_features


def test_equal_images_are_alike_and_only_outputs_get_gradients() -> None:
    torch.manual_seed(0)
    loss = PerceptualLoss(OwnFeatures(DenseNet(3, (1, 1), 4, 8)))
    a, b = torch.rand(2, 1, 32, 32, requires_grad=True), torch.rand(2, 1, 32, 32)
    assert loss(b, b) == 0 and loss(a, b) > 0
    loss(a, b).backward()
    assert a.grad is not None and a.grad.abs().sum() > 0
    assert all(p.grad is None for p in loss.parameters())


def test_vgg19_has_sixteen_convolutions_and_no_last_activation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptual, "STAGES", tuple((count, width // 16) for count, width in perceptual.STAGES))
    network = VGG19Features()
    assert sum(isinstance(part, torch.nn.Conv2d) for part in network.layers) == 16
    assert isinstance(network.layers[34], torch.nn.Conv2d) and len(network.layers) == 35  # torchvision's numbers
    assert network(torch.rand(1, 1, 32, 48)).shape == (1, 32, 2, 3)


def test_weights_are_read_by_torchvisions_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptual, "STAGES", ((2, 4), (1, 4)))
    source = VGG19Features()
    weights = {f"features.{name}": value for name, value in source.layers.state_dict().items()}
    torch.save(weights | {"classifier.0.weight": torch.zeros(3)}, tmp_path / "vgg.pth")
    x = torch.rand(1, 1, 16, 16)
    assert torch.equal(vgg19_features(tmp_path / "vgg.pth")(x), source(x))
    weights.pop("features.2.bias")
    torch.save(weights, tmp_path / "less.pth")
    with pytest.raises(ModelError, match="2.bias is missing"):
        vgg19_features(tmp_path / "less.pth")
    (tmp_path / "torn.pth").write_bytes((tmp_path / "vgg.pth").read_bytes()[:100])
    with pytest.raises(DataError, match="is damaged"):
        vgg19_features(tmp_path / "torn.pth")

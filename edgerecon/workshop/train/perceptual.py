"""Perceptual loss: two images are alike when a network trained for something else sees the same in them.

    L(a, b) = mean|φ(a) − φ(b)| / mean|φ(b)|

φ are features of VGG19 before the last activation of its fifth stage, conv5_4, as in ESRGAN (Wang et al., ECCV
Workshops 2018; Ledig et al., CVPR 2017, take them after it and square the difference); the grey image is repeated to
three channels. Those weights are the user's to bring. Without them φ is the second dense block of the study's own
``DenseNet``, trained to tell lesions. Dividing by the size of φ makes one weight fit both.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from edgerecon.core.errors import ModelError, first_line
from edgerecon.workshop.models.densenet import DenseNet
from edgerecon.workshop.weights_file import read_weights

STAGES = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
"""Convolutions and channels of VGG19 (Simonyan & Zisserman, ICLR 2015)."""
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's colours, which the published weights expect to be taken off."""


class PerceptualLoss(nn.Module):
    """(N, 1, H, W) twice, in [0, 1], H and W ≥ 16 → scalar. features: φ; it is frozen. In float32."""

    def __init__(self, features: nn.Module) -> None:
        super().__init__()
        self.features = features.eval().requires_grad_(False)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        if next(self.features.parameters()).device != output.device:
            self.features.to(output.device)
        found, wanted = self.features(output), self.features(target)
        return (found - wanted).abs().mean() / wanted.abs().mean().clamp_min(1e-6)


class OwnFeatures(nn.Module):
    """Grey image → what comes out of the second dense block of a trained network, at 1/8 of the size."""

    def __init__(self, network: DenseNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network.features(x, blocks=2)


class VGG19Features(nn.Module):
    """Grey image → conv5_4 of VGG19 before its activation, at 1/16 of the size."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for count, width in STAGES:
            for _ in range(count):
                layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
                before = width
            layers.append(nn.MaxPool2d(2))
        self.layers = nn.Sequential(*layers[:-2])
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers((x.expand(-1, 3, -1, -1) - self.mean) / self.deviation)


def vgg19_features(path: Path) -> VGG19Features:
    """VGG19 with the user's weights: a torch file with torchvision's names, "features.0.weight" and so on.

    Raises:
        DataError: it cannot be read. ModelError: it does not hold them.
    """
    network = VGG19Features()
    try:
        found = read_weights(path)
        weights = {name.removeprefix("features."): value for name, value in found.items()}
        network.layers.load_state_dict({name: weights[name] for name in network.layers.state_dict()})
    except KeyError as error:
        raise ModelError(f"{path} does not hold the weights of VGG19: features.{error.args[0]} is missing") from None
    except (AttributeError, TypeError, RuntimeError) as error:  # of other shapes, or no weights by name
        raise ModelError(f"{path} does not hold the weights of VGG19: {first_line(error)}") from None
    return network

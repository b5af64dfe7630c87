"""densenet: DenseNet-201 for one grey channel, by which frames are classified.

    z_i = H([z_0, z_1, …, z_{i−1}]),   H = C_3∘ρ∘B∘C_1∘ρ∘B;   p = softmax(W·mean(ρ(B(z))) + b)

[·] is concatenation, C_1 a conv1×1 to 4·growth channels, C_3 a conv3×3 to growth, B batch normalisation, ρ the ReLU;
between the four dense blocks of 6, 12, 48 and 32 layers a conv1×1 halves the channels and a mean pool the size (Huang
et al., CVPR 2017). The network is MONAI's (Apache-2.0), after torchvision's. A classifier looks at the whole frame:
its receptive field is given for one position of the last map, before the mean over all of them.

Growth 32 and three classes: 18.1 million parameters, 83 920 multiply-accumulates a pixel, and a receptive field of
3 863×3 863 pixels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from edgerecon.core.errors import ModelError, first_line, needed
from edgerecon.workshop.models.family import Family, Params, Width
from edgerecon.workshop.models.network import Network
from edgerecon.workshop.weights_file import read_weights

BLOCKS = (6, 12, 48, 32)


class DenseNet(Network):
    """N×1×H×W in [0, 1] → N×1×1×classes, probabilities; any H, W ≥ 1, padded by edge replication to multiples of 32.

    Args:
        classes: at least 2. blocks: layers of each of the four dense blocks. growth: channels that a layer adds.
        width: channels of the first convolution.
    """

    def __init__(self, classes: int = 3, blocks: Sequence[int] = BLOCKS, growth: int = 32, width: int = 64) -> None:
        super().__init__()
        if classes < 2 or len(blocks) < 1 or min(*blocks, growth, width) < 1:
            raise ValueError(f"classes must be at least 2, all else at least 1, not {classes}, {blocks}, {growth}")
        with needed("train"):
            from monai.networks.nets import DenseNet201
        self.blocks = tuple(blocks)
        self.size_multiple = 2 ** (len(blocks) + 1)
        self.fixed_output = (1, classes)
        self.net = DenseNet201(
            spatial_dims=2,
            in_channels=1,
            out_channels=classes,
            init_features=width,
            growth_rate=growth,
            block_config=self.blocks,
        )

    @property
    def receptive_field(self) -> int:
        """conv7×7 and pool3×3 of stride 2, a conv3×3 a layer, a mean of 2×2 between blocks."""
        field, stride = 7 + 2 * 2, 4
        for level, layers in enumerate(self.blocks):
            field, stride = field + 2 * stride * layers, stride * 2
            if level < len(self.blocks) - 1:
                field += stride // 2
        return field

    def macs_per_pixel(self) -> float:
        """Each weight is used once a position of its size; the fully connected layer, once a frame, is left out."""
        total, level = 0.0, 1
        for name, part in self.net.features.named_children():
            weights = sum(layer.weight.numel() for layer in part.modules() if isinstance(layer, nn.Conv2d))
            total += weights / 4**level
            level += name in ("pool0",) or name.startswith("transition")
        return total

    def features(self, x: Tensor, blocks: int = 2) -> Tensor:
        """What comes out of the first dense blocks, before any activation: N×C×⌊H/2^(blocks+1)⌋×…; H, W ≥ 16."""
        for name, part in self.net.features.named_children():
            x = part(x)
            if name == f"denseblock{blocks}":
                break
        return x

    def logits(self, x: Tensor) -> Tensor:
        """N×1×H×W → N×classes, what the cross-entropy loss takes."""
        return self.net(self.padded(x))

    def core(self, x: Tensor) -> Tensor:
        """The exported graph: H and W must be multiples of 32."""
        return self.net(x).softmax(1)[:, None, None, :]

    def load_weights(self, path: Path) -> None:
        """Transfer learning: start from a DenseNet-201 that was trained elsewhere, the fully connected layer apart.

        Args:
            path: a torch file of weights with torchvision's or MONAI's names; a first layer of three channels is
                summed to one, which is a grey frame repeated three times.

        Raises:
            DataError: it cannot be read. ModelError: it does not hold the layers of this network.
        """
        try:
            features = _features(read_weights(path))
        except (AttributeError, TypeError, RuntimeError) as error:  # no weights by name
            raise ModelError(f"{path} does not hold the weights of this network: {first_line(error)}") from None
        own = self.net.features.state_dict()
        missing = [name for name, value in own.items() if name not in features or features[name].shape != value.shape]
        if missing:
            raise ModelError(f"{path} does not hold the weights of this network: {missing[0]} is missing or differs")
        self.net.features.load_state_dict({name: features[name] for name in own})


def _features(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """By MONAI's names, one input channel."""
    found = {}
    for name, value in weights.items():
        if "features." not in name:
            continue
        name = name[name.index("features.") + len("features.") :]
        name = re.sub(r"(denselayer\d+)\.(?:layers\.)?(norm|conv)\.?([12])\.", r"\1.layers.\2\3.", name)
        found[name] = value.sum(1, keepdim=True) if name == "conv0.weight" else value
    return found


class DenseNetParams(Params):
    """See ``DenseNet``."""

    classes: int = Field(default=3, ge=2, le=10_000)
    blocks: tuple[Annotated[int, Field(ge=1, le=256)], ...] = Field(default=BLOCKS, min_length=1)
    growth: Width = 32
    width: Width = 64


FAMILY = Family(name="densenet", params=DenseNetParams, build=DenseNet)

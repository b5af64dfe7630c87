from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import nn

from edgerecon.core.errors import UsageError
from edgerecon.deploy.export.network_file import save_network
from edgerecon.workshop.models import build_model
from edgerecon.workshop.models.residual_unet import BLOCKS


def _trained(**params: Any) -> Any:
    """A network whose weights and statistics are neither zero nor symmetric."""
    torch.manual_seed(5)
    model = build_model("residual_unet", **{"width": 4, "depth": 2, **params})
    nn.init.normal_(model.last.weight, std=0.1)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.2)
            layer.running_var.uniform_(0.5, 2)
    return model.eval()


def test_the_figures_of_the_default_shape() -> None:
    model = build_model("residual_unet")
    assert (model.count_parameters(), model.macs_per_pixel(), model.receptive_field) == (634388, 10672, 200)


@pytest.mark.parametrize(("block", "attention"), itertools.product(BLOCKS, (False, True)))
def test_the_arithmetic_is_counted(block: str, attention: bool) -> None:
    """Against products counted layer by layer as the network runs."""
    model, count = _trained(block=block, attention=attention), 0

    def add(layer: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal count
        outer = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
        count += layer.weight.numel() * outer[0, 0].numel()

    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(add)
    model(torch.rand(1, 1, 16, 24))
    assert model.macs_per_pixel() == count / (16 * 24)


@pytest.mark.parametrize(("block", "factor"), [(b, 1) for b in BLOCKS] + [("residual", 2), ("dilated", 2)])
def test_the_receptive_field_is_exact(block: str, factor: int) -> None:
    """By gradients, with positive weights so that no ReLU and no cancellation hides a path."""
    model = build_model("residual_unet", width=2, depth=2, block=block, factor=factor).double().eval()
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.1)
    side, multiple, found = 160 * factor, 4 * factor, []
    for row in range(side // 2, side // 2 + multiple, factor):
        x = torch.rand(1, 1, side, multiple, dtype=torch.float64, requires_grad=True)
        model(x)[0, 0, row, 0].backward()
        rows = torch.nonzero(x.grad[0, 0].abs().sum(1)).flatten()
        assert 0 < rows.min() and rows.max() < side - 1
        found.append(int(rows.max() - rows.min()) + 1)
    assert max(found) == model.receptive_field


@pytest.mark.parametrize("block", BLOCKS)
def test_an_untrained_network_is_the_identity_at_any_size(block: str) -> None:
    x = torch.rand(2, 1, 13, 22)
    assert torch.equal(build_model("residual_unet", width=4, depth=2, block=block, attention=True)(x), x)


def test_the_gates_scale_the_skip_connections() -> None:
    """Shut gates leave what an ungated network does without its skips; open ones change nothing."""
    gated, plain = _trained(attention=True), _trained()
    plain.load_state_dict({k: v for k, v in gated.state_dict().items() if not k.startswith("attention")})
    x = torch.rand(1, 1, 16, 24)
    for gate in gated.attention:
        nn.init.zeros_(gate.psi.weight)
        nn.init.constant_(gate.psi.bias, 50.0)
    torch.testing.assert_close(gated(x), plain(x))
    for gate in gated.attention:
        nn.init.constant_(gate.psi.bias, -50.0)
    for block, up in zip(plain.decoder, plain.up, strict=True):
        skips = up.out_channels
        for first in (block.body[0][0], block.around):
            first.weight.data[:, :skips] = 0
    torch.testing.assert_close(gated(x), plain(x))


def test_dropout_acts_in_training_alone() -> None:
    model, x = _trained(dropout=0.5), torch.rand(1, 1, 16, 16)
    assert torch.equal(model(x), model(x))
    model.dropout.train()
    assert not torch.equal(model(x), model(x))


def test_the_exported_file_does_the_same_and_names_its_gates(tmp_path: Path) -> None:
    model = _trained(attention=True)
    assert save_network(model, tmp_path / "m.onnx", name="m", task="reconstruct") <= 1e-5
    graph = onnx.load(tmp_path / "m.onnx").graph
    made = {output: node for node in graph.node for output in node.output}
    sources = [made[node.input[0]] for node in graph.node if node.op_type == "Sigmoid"]
    assert len(sources) == 2 and all("attention" in node.input[1] for node in sources)
    assert "BatchNormalization" not in {node.op_type for node in graph.node}


@pytest.mark.parametrize(
    "params", [{"depth": 0}, {"width": 0}, {"block": "dense"}, {"dropout": 1.0}, {"factor": 0}, {"hue": 3}]
)
def test_impossible_shapes_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="residual_unet"):
        build_model("residual_unet", **params)

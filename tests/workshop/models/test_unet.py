from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerecon.core.errors import UsageError
from edgerecon.deploy.export.export import to_onnx
from edgerecon.deploy.export.parity import max_abs_error
from edgerecon.workshop.models import build_model
from edgerecon.workshop.recipe import Recipe


def _trained(width: int = 4, depth: int = 2, **params: Any) -> Any:
    """Weights that are neither zero nor symmetric, of a size that keeps the output near 1."""
    torch.manual_seed(3)
    model = build_model("unet", width=width, depth=depth, **params)
    for name, parameter in model.named_parameters():
        fan = parameter[0].numel() if parameter.dim() > 1 else 100
        torch.nn.init.normal_(parameter, std=fan**-0.5)
        assert parameter.dim() > 1 or name.endswith("bias")
    return model.eval()


def _formula(model: Any, x: torch.Tensor) -> torch.Tensor:
    """The docstring's formula from the weights alone, in the order of ``state_dict``, for depth 2."""
    weights = {name: value.double() for name, value in model.state_dict().items()}

    def conv(z: torch.Tensor, name: str, **how: Any) -> torch.Tensor:
        transposed = name.startswith("up")
        return (F.conv_transpose2d if transposed else F.conv2d)(
            z, weights[f"{name}.weight"], weights[f"{name}.bias"], **how
        )

    def block(z: torch.Tensor, name: str) -> torch.Tensor:
        return F.relu(conv(F.relu(conv(z, f"{name}.0", padding=1)), f"{name}.2", padding=1))

    x = x.double()
    e0 = block(x, "encoder.0")
    e1 = block(conv(e0, "down.0", stride=2), "encoder.1")
    e2 = block(conv(e1, "down.1", stride=2), "encoder.2")
    d1 = block(torch.cat([e1, conv(e2, "up.0", stride=2)], 1), "decoder.0")
    d0 = block(torch.cat([e0, conv(d1, "up.1", stride=2)], 1), "decoder.1")
    return x + conv(d0, "last", padding=1)


def test_it_is_the_formula() -> None:
    model, x = _trained(), torch.rand(2, 1, 12, 20)
    found = model(x)
    assert (found - x).abs().max() > 0.05
    torch.testing.assert_close(found.double(), _formula(model, x), atol=1e-5, rtol=1e-5)


def test_the_figures_of_the_default_shape() -> None:
    model = build_model("unet")
    assert model.count_parameters() == 150257
    assert model.macs_per_pixel() == 27680
    assert model.receptive_field == 48
    assert 100_000 <= model.count_parameters() <= 500_000


@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_arithmetic_is_counted(depth: int, separable: bool) -> None:
    """Against products counted layer by layer as the network runs."""
    model, count = _trained(4, depth, separable=separable), 0

    def add(layer: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal count
        outer = inputs[0] if isinstance(layer, torch.nn.ConvTranspose2d) else output
        count += layer.weight.numel() * outer[0, 0].numel()

    for layer in model.modules():
        if hasattr(layer, "weight"):
            layer.register_forward_hook(add)
    model(torch.rand(1, 1, 24, 32))
    assert model.macs_per_pixel() == count / (24 * 32)


def test_an_untrained_network_is_the_identity() -> None:
    x = torch.rand(2, 1, 14, 22)
    for separable in (False, True):
        assert torch.equal(build_model("unet", separable=separable)(x), x)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 19), st.integers(1, 19))
def test_other_sizes_are_padded_by_their_edge_and_cropped(height: int, width: int) -> None:
    model = _trained()
    frame = np.random.default_rng(height * 20 + width).random((height, width), dtype=np.float32)
    padded = torch.from_numpy(np.pad(frame, ((0, -height % 4), (0, -width % 4)), mode="edge"))[None, None]
    found = model(torch.from_numpy(frame)[None, None])
    torch.testing.assert_close(found.double(), _formula(model, padded)[..., :height, :width], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("depth", "separable"), [(1, False), (2, False), (2, True), (3, False)])
def test_the_receptive_field_is_exact(depth: int, separable: bool) -> None:
    """By gradients, with positive weights so that no ReLU and no cancellation hides a path."""
    model = build_model("unet", width=2, depth=depth, separable=separable)
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, 0.1)
    side, multiple = 2 * 64 * depth, 2**depth
    found = []
    for row in range(side // 2, side // 2 + multiple):
        x = torch.rand(1, 1, side, multiple, requires_grad=True)
        model.double()(x.double())[0, 0, row, 0].backward()
        rows = torch.nonzero(x.grad[0, 0].abs().sum(1)).flatten()
        assert 0 < rows.min() and rows.max() < side - 1
        found.append(int(rows.max() - rows.min()) + 1)
    assert max(found) == model.receptive_field


@pytest.mark.parametrize("separable", [False, True])
def test_channels_rebuild_the_shape(separable: bool) -> None:
    channels = (3, 5, 6, 7, 8, 9, 10, 11, 4, 3, 2, 5, 6, 7)
    model = _trained(separable=separable, channels=channels)
    assert model.channels == channels
    again = build_model("unet", width=4, depth=2, separable=separable, channels=model.channels)
    again.load_state_dict(model.state_dict())
    x = torch.rand(1, 1, 10, 7)
    assert torch.equal(again(x), model(x))
    assert build_model("unet", width=4, depth=2).channels == (4, 4, 8, 8, 8, 16, 16, 16, 8, 8, 8, 4, 4, 4)


def test_the_exported_file_does_the_same() -> None:
    """Separable, which has every operator of the plain network and depthwise convolutions."""
    recipe = Recipe.model_validate(
        {
            "model": {"name": "tiny-unet", "task": "despeckle", "family": "unet", "width": 4, "depth": 2},
            "data": {"simulate": "-", "file": "t.h5", "inputs": ["pw31"], "target": "clean"},
            "train": {"steps": 1},
        }
    )
    model = _trained(separable=True)
    graph = to_onnx(model, recipe, {})
    operators = {node.op_type for node in graph.graph.node}
    assert operators == {"Conv", "Relu", "ConvTranspose", "Concat", "Add"}
    shape = [dim.dim_param or dim.dim_value for dim in graph.graph.input[0].type.tensor_type.shape.dim]
    assert shape == ["N", 1, "H", "W"]
    metadata = {entry.key: entry.value for entry in graph.metadata_props}
    assert metadata["edgerecon.size_multiple"] == "4"
    onnx.checker.check_model(graph, full_check=True)
    assert max_abs_error(graph.SerializeToString(), model) <= 1e-5


@pytest.mark.parametrize(
    "params",
    [
        {"depth": 0},
        {"depth": 7},
        {"width": 0},
        {"dilations": (1, 1)},
        {"channels": (4, 4)},
        {"hue": 3},
        {"depth": 1, "channels": (4, 4, 4, 0, 4, 4, 4, 4)},
    ],
)
def test_impossible_shapes_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="unet"):
        build_model("unet", **params)

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerecon.core.errors import UsageError
from edgerecon.workshop.models import build_model


def _trained(width: int = 16, depth: int = 6, dilations: tuple[int, ...] = ()) -> torch.nn.Module:
    """Weights that are neither zero nor symmetric."""
    torch.manual_seed(3)
    model = build_model("compact", width=width, depth=depth, dilations=dilations)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def _plain(model: torch.nn.Module, frame: np.ndarray) -> np.ndarray:
    """The formula in loops over taps, float64, for even sizes."""
    height, width = frame.shape
    z = np.stack([frame[i::2, j::2] for i in (0, 1) for j in (0, 1)]).astype(np.float64)
    layers = list(model.layers)
    for index, layer in enumerate(layers):
        weight, bias = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
        d = layer.dilation[0]
        padded = np.pad(z, ((0, 0), (d, d), (d, d)))
        z = (
            sum(
                np.einsum(
                    "oc,chw->ohw",
                    weight[:, :, i, j],
                    padded[:, d * i : d * i + height // 2, d * j : d * j + width // 2],
                )
                for i in range(3)
                for j in range(3)
            )
            + bias[:, None, None]
        )
        if index < len(layers) - 1:
            z = np.maximum(z, 0)
    out = frame.astype(np.float64).copy()
    for channel, (i, j) in enumerate((i, j) for i in (0, 1) for j in (0, 1)):
        out[i::2, j::2] += z[channel]
    return out


@pytest.mark.parametrize("dilations", [(), (1, 3, 2)])
def test_it_is_the_formula(rng: np.random.Generator, dilations: tuple[int, ...]) -> None:
    model = _trained(5, 3, dilations)
    frame = rng.random((12, 18), dtype=np.float32)
    found = model(torch.from_numpy(frame)[None, None]).detach()[0, 0].numpy()
    np.testing.assert_allclose(found, _plain(model, frame), atol=1e-6)


def test_the_figures_of_the_default_shape() -> None:
    model = build_model("compact")
    assert model.count_parameters() == 10452
    assert model.macs_per_pixel() == 2592
    assert model.receptive_field == 26


def test_an_untrained_network_is_the_identity() -> None:
    x = torch.rand(2, 1, 14, 22)
    assert torch.equal(build_model("compact")(x), x)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 19), st.integers(1, 19))
def test_odd_sizes_are_padded_by_their_edge_and_cropped(height: int, width: int) -> None:
    model = _trained(4, 2)
    frame = np.random.default_rng(height * 20 + width).random((height, width), dtype=np.float32)
    padded = np.pad(frame, ((0, height % 2), (0, width % 2)), mode="edge")
    found = model(torch.from_numpy(frame)[None, None]).detach()[0, 0].numpy()
    np.testing.assert_allclose(found, _plain(model, padded)[:height, :width], atol=1e-6)


@pytest.mark.parametrize(("dilations", "field"), [((), 2 * (2 * 3 + 1)), ((1, 3, 2), 2 * (2 * 6 + 1))])
def test_the_receptive_field_is_exact(dilations: tuple[int, ...], field: int) -> None:
    model = _trained(4, 3, dilations)
    assert model.receptive_field == field
    x = torch.rand(1, 1, 64, 64, dtype=torch.float32, requires_grad=True)
    model(x)[0, 0, 30:32, 30:32].sum().backward()
    assert x.grad is not None
    rows = torch.nonzero(x.grad[0, 0].abs().sum(1)).flatten()
    assert int(rows.max() - rows.min()) + 1 <= field
    model = torch.nn.Sequential(model)  # no ReLU may hide a path: make every weight positive
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, 0.01)
    x.grad = None
    model(x)[0, 0, 30, 30].backward()
    rows = torch.nonzero(x.grad[0, 0].abs().sum(1)).flatten()
    assert int(rows.max() - rows.min()) + 1 == field


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("nonesuch", {}),
        ("network", {}),
        ("compact", {"depth": 1}),
        ("compact", {"width": 0}),
        ("compact", {"hue": 3}),
        ("compact", {"dilations": (1, 2)}),
        ("compact", {"depth": 2, "dilations": (0, 1)}),
    ],
)
def test_unknown_networks_are_refused(name: str, params: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        build_model(name, **params)

"""The networks of restoration and enhancement: formula, view, arithmetic, odd sizes, and the exported file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from edgerecon.core.errors import UsageError
from edgerecon.deploy.export.network_file import save_network
from edgerecon.engines import open_engine
from edgerecon.workshop.models import build_model
from edgerecon.workshop.models.inpainting import mean_of_known
from edgerecon.workshop.models.patch_discriminator import PatchDiscriminator

SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    "dncnn": ("dncnn", {"width": 3}),
    "inpainting": ("inpainting", {"width": 3}),
    "dense": ("enhance_cnn", {"width": 2, "hidden": 5}),
    "conv": ("enhance_cnn", {"width": 2, "hidden": 0}),
}


@pytest.fixture(params=list(SMALL))
def model(request: pytest.FixtureRequest) -> Any:
    """With weights that are neither zero nor symmetric, and statistics of batches that were seen."""
    family, params = SMALL[request.param]
    torch.manual_seed(5)
    network = build_model(family, **params)
    for parameter in network.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
        else:
            torch.nn.init.uniform_(parameter, -0.3, 0.3)
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    return network.eval()


def test_any_size_is_padded_by_its_edge_and_cropped(model: Any) -> None:
    multiple = model.size_multiple
    for height, width in ((1, 1), (7, 5), (33, 18)):
        x = torch.rand(1, 1, height, width)
        padded = np.pad(x.numpy(), ((0, 0), (0, 0), (0, -height % multiple), (0, -width % multiple)), mode="edge")
        expected = model.core(torch.from_numpy(padded))[..., :height, :width]
        torch.testing.assert_close(model(x), expected)


def test_the_receptive_field_is_exact(model: Any) -> None:
    """By gradients, with positive weights so that nothing hides a path; a hole, so that inpainting looks around it."""
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, 0.1)
    side, multiple = 16 * (2 * model.receptive_field // 16 + 2), model.size_multiple
    found = []
    for row in range(side // 2, side // 2 + multiple):
        x = 0.3 * torch.rand(1, 1, side, 16, dtype=torch.float64)
        x[..., row, 0] = 0
        x.requires_grad_(True)
        model.double()(x)[0, 0, row, 0].backward()
        rows = torch.nonzero(x.grad[0, 0].abs().sum(1)).flatten()  # type: ignore[index]
        assert 0 < rows.min() and rows.max() < side - 1
        found.append(int(rows.max() - rows.min()) + 1)
    assert max(found) == model.receptive_field


def test_the_arithmetic_is_counted(model: Any) -> None:
    count = 0

    def add(layer: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal count
        outer = inputs[0] if isinstance(layer, torch.nn.ConvTranspose2d) else output
        count += layer.weight.numel() * outer[0, 0].numel()

    for layer in model.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            layer.register_forward_hook(add)
    model(torch.rand(1, 1, 32, 48))
    assert model.macs_per_pixel() == pytest.approx(count / (32 * 48))


def test_the_exported_file_does_the_same_on_every_runtime(model: Any, tmp_path: Path) -> None:
    assert save_network(model, tmp_path / "m.onnx", name="m", task="despeckle") <= 1e-5
    frame = np.random.default_rng(1).random((30, 41), dtype=np.float32)
    frame[5:9] = 0
    expected = model(torch.from_numpy(frame)[None, None])[0, 0].detach().numpy().clip(0, 1)
    for backend in ("onnxruntime", "openvino", "pytorch"):
        found = open_engine(tmp_path / "m.onnx", backend=backend, threads=1).run(frame)
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("family", "params", "parameters", "macs", "view"),
    [
        ("dncnn", {}, 48740, 12096, 66),
        ("inpainting", {}, 97492, 8336, 138),
        ("enhance_cnn", {}, 201920, 2064, 22),
        ("enhance_cnn", {"hidden": 0}, 98033, 7920, 46),
    ],
)
def test_the_figures_of_the_heads(family: str, params: dict[str, Any], parameters: int, macs: float, view: int) -> None:
    network = build_model(family, **params)
    assert (network.count_parameters(), network.macs_per_pixel(), network.receptive_field) == (parameters, macs, view)


def test_untrained_residual_networks_are_the_identity() -> None:
    x = torch.rand(2, 1, 12, 20)
    assert torch.equal(build_model("dncnn", width=4)(x), x)
    assert torch.equal(build_model("enhance_cnn", width=2, hidden=0)(x), x)


def test_inpainting_changes_holes_alone() -> None:
    x = torch.rand(1, 1, 24, 24).clamp_min(1 / 255)
    x[..., 3, 5] = 1 / 255
    x[..., 8:12, 4:15] = 0
    found = build_model("inpainting", width=2)(x)
    assert torch.equal(found[x > 0], x[x > 0]) and torch.all(found[x == 0] != 0)


def test_holes_start_as_the_mean_of_what_is_known_around() -> None:
    x = torch.full((1, 1, 64, 64), 0.4)
    x[..., 30:40, 20:26], x[..., :, 50:] = 0, 0.8
    x[..., 10:14, 48:53] = 0
    found = mean_of_known(x, (x > 0).float())
    assert torch.allclose(found[..., 25:45, 15:30], torch.tensor(0.4)), "an even frame stays even"
    across = found[0, 0, 12, 48:53]
    assert torch.all(across.diff() > 0) and 0.4 < across[0] < across[-1] < 0.8, "nearer pixels count more"
    empty = torch.zeros(1, 1, 64, 64)
    assert not mean_of_known(empty, empty).any()


def test_a_patch_meets_every_kind_of_layer() -> None:
    """The same weights as matrices, on one patch of 16×16 pixels."""
    model = build_model("enhance_cnn", width=3, hidden=7).double()
    x = torch.rand(2, 1, 16, 16, dtype=torch.float64)
    first, second, in_, out = (p for p in model.modules() if isinstance(p, torch.nn.Conv2d))
    z = F.max_pool2d(F.relu(F.conv2d(x, first.weight, first.bias, padding=1)), 2)
    z = F.max_pool2d(F.relu(F.conv2d(z, second.weight, second.bias, padding=1)), 2).flatten(1)
    hidden = F.relu(F.linear(z, in_.weight.flatten(1), in_.bias))
    expected = F.linear(hidden, out.weight.flatten(1), out.bias).reshape(2, 1, 16, 16)
    torch.testing.assert_close(model(x), expected)


def test_the_discriminator_judges_patches() -> None:
    network = PatchDiscriminator(1, 2).double().eval()
    assert network(torch.rand(3, 1, 64, 40, dtype=torch.float64)).shape == (3, 1, 8, 5)
    for parameter in network.parameters():
        torch.nn.init.constant_(parameter, 0.1)
    x = torch.rand(1, 1, 96, 96, dtype=torch.float64, requires_grad=True)
    network(x)[0, 0, 6, 6].backward()
    rows = torch.nonzero(x.grad[0, 0].abs().sum(1)).flatten()  # type: ignore[index]
    assert rows.max() - rows.min() + 1 == PatchDiscriminator.receptive_field


def test_no_layer_of_the_discriminator_amplifies() -> None:
    network = PatchDiscriminator(2, 4)
    for _ in range(30):
        network(torch.rand(1, 2, 16, 16))
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            weight = layer.weight.detach().flatten(1)
            assert float(torch.linalg.matrix_norm(weight, 2)) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    "make",
    [
        lambda: build_model("dncnn", width=0),
        lambda: build_model("dncnn", dilations=(1,)),
        lambda: build_model("inpainting", width=0),
        lambda: build_model("enhance_cnn", hidden=-1),
    ],
)
def test_impossible_shapes_are_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(UsageError):
        make()

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgerecon.core.errors import UsageError
from edgerecon.deploy.export.network_file import network_graph
from edgerecon.workshop.models import build_model
from edgerecon.workshop.models.two_scale import TwoScale


def _trained(width: int = 4, dilations: tuple[int, ...] = (1, 2)) -> TwoScale:
    torch.manual_seed(3)
    model = build_model("two_scale", width=width, depth=len(dilations), dilations=dilations)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    assert isinstance(model, TwoScale)
    return model.eval()


def test_untrained_it_is_the_identity(rng: np.random.Generator) -> None:
    frame = torch.from_numpy(rng.random((1, 1, 13, 22), dtype=np.float32))
    torch.testing.assert_close(build_model("two_scale")(frame), frame)


def test_the_figures_of_the_default_shape() -> None:
    model = build_model("two_scale", width=16, depth=2, dilations=(1, 2))
    assert model.count_parameters() == 28_452
    assert model.macs_per_pixel() == 2848
    assert model.receptive_field == 48


@pytest.mark.parametrize("dilations", [(1,), (1, 2), (2, 1, 3)])
def test_an_output_pixel_depends_on_the_receptive_field(dilations: tuple[int, ...]) -> None:
    model = _trained(dilations=dilations)
    widest = 0
    for phase in range(4):
        frame = torch.rand(1, 1, 192, 16, requires_grad=True)
        (gradient,) = torch.autograd.grad(model(frame)[0, 0, 96 + phase, 8], frame)
        rows = torch.nonzero(gradient[0, 0].abs().sum(1))
        widest = max(widest, int(rows.max() - rows.min()) + 1)
    assert widest == model.receptive_field


def test_any_size_is_padded_and_cropped(rng: np.random.Generator) -> None:
    model = _trained()
    for height, width in ((1, 1), (5, 9), (16, 30)):
        frame = torch.from_numpy(rng.random((1, 1, height, width), dtype=np.float32))
        assert model(frame).shape == frame.shape


def test_the_exported_graph_has_static_operators_alone() -> None:
    """No shape arithmetic and no Pad, which FPGA and edge compilers refuse."""
    graph = network_graph(_trained(), {"name": "two", "task": "despeckle", "recipe_hash": "", "licence": "-"})
    kinds = {node.op_type for node in graph.graph.node}
    assert kinds == {"SpaceToDepth", "Conv", "Relu", "Add", "ConvTranspose", "DepthToSpace"}


def test_shapes_that_make_no_network() -> None:
    for wrong in ({"dilations": (1, 0)}, {"depth": 0}, {"width": 0}, {"channels": (4, 4)}):
        with pytest.raises(UsageError):
            build_model("two_scale", **wrong)

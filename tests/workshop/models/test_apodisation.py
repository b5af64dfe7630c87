from __future__ import annotations

import pytest
import torch
from torch import Tensor

from edgerecon.core.errors import UsageError
from edgerecon.workshop.models import build_model
from edgerecon.workshop.models.apodisation import Apodisation


@pytest.fixture
def parts() -> Tensor:
    return 0.1 * torch.randn((2, 16, 33, 20), generator=torch.Generator().manual_seed(1))


def trained(**params: bool) -> Apodisation:
    """A network whose last layer is no longer zero."""
    torch.manual_seed(3)
    model = Apodisation(width=8, depth=2, dilations=(1, 2), **params)
    torch.nn.init.normal_(model.last.weight, std=0.2)
    return model.eval()


def das(parts: Tensor) -> Tensor:
    return torch.complex(parts[:, :8].sum(1), parts[:, 8:].sum(1)).abs()[:, None]


def test_an_untrained_network_is_delay_and_sum(parts: Tensor) -> None:
    model = Apodisation()
    torch.testing.assert_close(model(parts), das(parts), atol=1e-5, rtol=1e-4)
    assert 5_000 < model.count_parameters() < 20_000
    assert model.input_channels == 16 and model(torch.zeros(1, 16, 1, 1)).shape == (1, 1, 1, 1)


def test_twice_the_echoes_make_twice_the_picture(parts: Tensor) -> None:
    model = trained()
    torch.testing.assert_close(model(2 * parts), 2 * model(parts), atol=1e-4, rtol=1e-3)
    assert not torch.allclose(model(parts), das(parts), rtol=0.1)


def test_a_turn_of_the_phase_changes_nothing(parts: Tensor) -> None:
    model, turn = trained(), torch.tensor(0.8)
    real, imag = parts[:, :8], parts[:, 8:]
    turned = torch.cat([real * turn.cos() - imag * turn.sin(), imag * turn.cos() + real * turn.sin()], 1)
    torch.testing.assert_close(model(turned), model(parts), atol=1e-5, rtol=1e-3)


def test_what_all_parts_agree_on_passes(parts: Tensor) -> None:
    """The weights add up to those of delay-and-sum; without a post-filter nothing else acts on such a signal."""
    alike = torch.cat([parts[:, :1].expand(-1, 8, -1, -1), parts[:, 8:9].expand(-1, 8, -1, -1)], 1)
    torch.testing.assert_close(trained(post_filter=False)(alike), das(alike), atol=1e-5, rtol=1e-3)


def test_the_picture_that_is_learnt_from_spans_sixty_decibel() -> None:
    model = Apodisation()
    shown = model.shown(torch.tensor([2.0, 1.0, 1e-1, 1e-3, 1e-5]))
    assert shown.tolist() == pytest.approx([1, 1, 2 / 3, 0, -1 / 30], abs=1e-5)


def test_dilations_of_another_number_are_refused() -> None:
    with pytest.raises(UsageError, match="dilations: give 2 numbers"):
        build_model("apodisation", depth=2, dilations=[1])

"""Models that give something of a fixed size, e.g. probabilities, whatever the size of the frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from edgerecon.core.errors import EngineError
from edgerecon.deploy.export.network_file import save_network
from edgerecon.engines import open_engine
from edgerecon.workshop.models.network import Network

CPU = ["onnxruntime", "openvino", "pytorch"]


class Shares(Network):
    """Mean grey level, and what is left to 1."""

    fixed_output = (1, 2)
    size_multiple = 4
    receptive_field = 1

    def macs_per_pixel(self) -> float:
        return 0.0

    def core(self, x: Tensor) -> Tensor:
        bright = x.mean(dim=(2, 3), keepdim=True)
        return torch.cat([bright, 1 - bright], dim=3)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        return self.core(torch.nn.functional.pad(x, (0, -width % 4, 0, -height % 4), mode="replicate"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fixed") / "shares.onnx"
    assert save_network(Shares(), path, name="shares", task="classify") < 1e-5
    return path


@pytest.mark.parametrize("backend", CPU)
def test_the_size_of_the_frame_does_not_matter(model: Path, backend: str, rng: np.random.Generator) -> None:
    engine = open_engine(model, backend, threads=1)
    assert engine.spec.model.fixed_output == (1, 2)
    for shape in ((16, 24), (15, 21), (1, 1), (16, 24)):
        frame = rng.random(shape, dtype=np.float32)
        mean = np.pad(frame, ((0, -shape[0] % 4), (0, -shape[1] % 4)), mode="edge").mean()
        out = np.empty((1, 2), np.float32)
        assert engine.run(frame, out) is out
        np.testing.assert_allclose(out, [[mean, 1 - mean]], atol=1e-5)
        np.testing.assert_array_equal(engine.run(frame), out)
    with pytest.raises(EngineError, match="out must be float32 1×2"):
        engine.run(frame, np.empty_like(frame))

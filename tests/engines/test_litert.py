"""LiteRT computes what ONNX Runtime computes, on every shipped file that it takes."""

from __future__ import annotations

import numpy as np
import pytest

from edgerecon.core.errors import ModelError
from edgerecon.engines import backends, open_engine
from edgerecon.modelfile.catalogue import model_path, shipped_models
from edgerecon.modelfile.file import read_model
from edgerecon.modelfile.variants import variant_of

pytestmark = pytest.mark.skipif(not backends()["litert"].available, reason="ai-edge-litert is not installed")

TAKEN = [
    name
    for name in shipped_models()
    if (spec := read_model(model_path(name)).spec).channels == 1
    and (kind := variant_of(spec))
    and kind.key in backends()["litert"].runs
]


@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.parametrize("shape", [(1, 1), (37, 50)])
def test_a_shipped_model_agrees_with_onnxruntime(name: str, shape: tuple[int, int]) -> None:
    frame = np.random.default_rng(0).random(shape, dtype=np.float32)
    expected = open_engine(name, "onnxruntime", threads=1).run(frame)
    np.testing.assert_allclose(open_engine(name, "litert", threads=1).run(frame), expected, atol=1e-5)


def test_an_operator_that_is_not_translated_is_named() -> None:
    with pytest.raises(ModelError, match="backend litert has no operator QuantizeLinear"):
        open_engine(model_path("compact-despeckle-int8"), "litert", threads=1)

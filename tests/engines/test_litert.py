"""LiteRT computes what ONNX Runtime computes, on every shipped file that it takes."""

from __future__ import annotations

import subprocess
import sys

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


def test_the_runtime_says_nothing_on_stderr() -> None:
    """In a process of its own: it would say it once."""
    code = (
        "import sys, numpy as np\n"
        "from edgerecon.engines import open_engine\n"
        "open_engine('compact-despeckle', 'litert', threads=1).run(np.zeros((8, 8), np.float32))\n"
        "print('after', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert (done.stdout, done.stderr) == ("", "after\n")

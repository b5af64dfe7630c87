"""The search for the convolutions that are dearest to quantise."""

from __future__ import annotations

import numpy as np
import onnx

from edgerecon.workshop.compress.calibration import calibrate
from edgerecon.workshop.compress.sensitivity import most_sensitive_first
from tests.support.compress_graphs import conv, frames, graph_of, run


def _model(third: float) -> onnx.ModelProto:
    """Three convolutions; the middle one's second channel is ``third`` times as great and cut away afterwards."""
    rng = np.random.default_rng(0)
    constants = {
        "a_w": rng.normal(0, 0.3, (2, 1, 3, 3)).astype(np.float32),
        "a_b": np.zeros(2, np.float32),
        "b_w": rng.normal(0, 0.3, (2, 2, 3, 3)).astype(np.float32),
        "b_b": np.zeros(2, np.float32),
        "c_w": rng.normal(0, 0.3, (1, 2, 3, 3)).astype(np.float32),
        "c_b": np.zeros(1, np.float32),
    }
    constants["b_w"][1] *= third
    constants["c_w"][:, 1] /= third
    return graph_of([conv("a", "frame", "x"), conv("b", "x", "y"), conv("c", "y", "reconstruction")], constants)


def test_the_reader_of_unequal_channels_is_dearest() -> None:
    model = _model(300.0)
    seen, scenes = calibrate(model, frames(6)), frames(2, seed=3)
    targets = [np.clip(made, 0, 1) for made in run(model, scenes)]
    for form in ("unsigned", "signed"):
        found = most_sensitive_first(model, seen.ranges("minmax"), seen.moments, form, scenes, targets)
        assert found == ("c",)  # at most half of them

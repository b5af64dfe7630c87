"""ONNX Runtime computes what a file says, and nothing that it thinks better."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgerecon.engines import open_engine
from edgerecon.workshop.compress.calibration import calibrate
from edgerecon.workshop.compress.quantise import quantise
from tests.support.compress_graphs import frames, run, tiny_model


def test_convolutions_left_in_float_stay_in_float(tmp_path: Path) -> None:
    """One between two in int8, which an optimiser of its own would quantise with steps of its own."""
    model = tiny_model()
    seen = calibrate(model, frames(8))
    made = quantise(model, seen.ranges("percentile"), form="unsigned", keep=["node_conv2d_1"], moments=seen.moments)
    path = tmp_path / "partly.onnx"
    path.write_bytes(made.SerializeToString())
    pictures = frames(3, seed=5)
    with_plain = [np.clip(picture, 0, 1) for picture in run(made, pictures, plain=True)]
    engine = open_engine(path, "onnxruntime", threads=1)
    found = [np.array(engine.run(picture)) for picture in pictures]
    engine.close()
    of_rounding = np.abs(np.stack(with_plain) - np.clip(np.stack(run(model, pictures)), 0, 1)).mean()
    error = np.abs(np.stack(found) - np.stack(with_plain)).mean()
    assert error < 0.02 * of_rounding  # but for roundings that the order of sums flips

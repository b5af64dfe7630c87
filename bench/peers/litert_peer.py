"""LiteRT (TensorFlow Lite) with its XNNPACK delegate, converted by litert-torch from the network's own module."""

from __future__ import annotations

import tempfile
from pathlib import Path

import litert_torch
import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from peer import Run, serve

from edgerecon.core.errors import EngineError
from edgerecon.workshop.recipe import load_recipe
from edgerecon.workshop.train.checkpoint import load_model

SHAPE = (1, 1, 512, 512)
"""Fixed at conversion."""


def open_model(path: str, threads: int) -> Run:
    file = Path(path)
    network = load_model(load_recipe(file.with_suffix(".toml")), file.with_suffix(".pt")).eval()
    network.forward = network.core  # type: ignore[method-assign]
    made = Path(tempfile.mkdtemp()) / "m.tflite"
    litert_torch.convert(network, (torch.zeros(SHAPE),)).export(str(made))
    interpreter = Interpreter(str(made), num_threads=threads)
    interpreter.allocate_tensors()
    if not any(op["op_name"] == "DELEGATE" for op in interpreter._get_ops_details()):  # no public call tells
        raise EngineError("LiteRT runs this graph without XNNPACK")
    first, last = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def run(frame: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(first, frame)
        interpreter.invoke()
        return interpreter.get_tensor(last)

    return run


if __name__ == "__main__":
    serve("litert", open_model)

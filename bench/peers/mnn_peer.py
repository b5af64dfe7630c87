"""MNN, of the graph that its own converter makes of the file."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import MNN
import MNN.nn as nn
import numpy as np
from peer import Run, serve


def open_model(path: str, threads: int) -> Run:
    made = Path(tempfile.mkdtemp()) / "m.mnn"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "MNN.tools.mnnconvert",
            "-f",
            "ONNX",
            "--modelFile",
            path,
            "--MNNModel",
            str(made),
            "--bizCode",
            "bench",
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    runtime = nn.create_runtime_manager(({"backend": "CPU", "numThread": threads, "precision": "high"},))
    net = nn.load_module_from_file(str(made), ["frame"], ["reconstruction"], runtime_manager=runtime)

    def run(frame: np.ndarray) -> np.ndarray:
        given = MNN.expr.placeholder(frame.shape, MNN.expr.NCHW)
        given.write(np.ascontiguousarray(frame))
        return np.array(net.forward([given])[0].read())

    return run


if __name__ == "__main__":
    serve("mnn", open_model)

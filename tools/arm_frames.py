"""Put one fixed frame through every shipped file with ONNX Runtime and our own kernels, and keep what comes out.

    python tools/arm_frames.py out.npz

Runs on both processors, see arm.py. An array is called NAME on BACKEND.
"""

from __future__ import annotations

import sys

import numpy as np

from edgerecon.core.errors import EdgereconError
from edgerecon.engines import open_engine, shipped_models

BACKENDS = ("onnxruntime", "native")


def main(path: str) -> None:
    found = {}
    for name in shipped_models():
        for backend in BACKENDS:
            try:
                engine = open_engine(name, backend, threads=1)
            except EdgereconError:  # that backend does not run this file
                continue
            shape = engine.spec.model.input_shape(32, 40)
            frame = np.random.default_rng(1).integers(0, 256, shape).astype(np.float32) / 255
            found[f"{name} on {backend}"] = engine.run(frame).copy()
            engine.close()
    np.savez(path, **found)


if __name__ == "__main__":
    main(sys.argv[1])

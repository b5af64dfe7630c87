"""Put one fixed frame through every shipped file with ONNX Runtime, and keep what comes out.

    python tools/arm_frames.py out.npz

Runs on both processors, see arm.py.
"""

from __future__ import annotations

import sys

import numpy as np

from edgerecon.core.errors import EdgereconError
from edgerecon.engines import open_engine, shipped_models


def main(path: str) -> None:
    frame = np.random.default_rng(1).integers(0, 256, (32, 40)).astype(np.float32) / 255
    found = {}
    for name in shipped_models():
        try:
            engine = open_engine(name, "onnxruntime", threads=1)
        except EdgereconError as error:  # a form for other hardware
            sys.stderr.write(f"{name}: {error}\n")
            continue
        found[name] = engine.run(frame).copy()
        engine.close()
    np.savez(path, **found)


if __name__ == "__main__":
    main(sys.argv[1])

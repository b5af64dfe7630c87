"""The parity run before a device is used: its pictures are those of ONNX Runtime on the CPU."""

from __future__ import annotations

import numpy as np

from edgerecon.core.errors import EngineError
from edgerecon.engines.base import Engine
from edgerecon.modelfile.file import ModelFile

TOLERANCE = 0.5 / 255
"""RMS, grey levels in [0, 1]: devices compute in 16 bits, and in other orders."""
_SIZE = (96, 128)


def check_device(engine: Engine, file: ModelFile) -> None:
    """Compare an engine with ONNX Runtime on the CPU on one noisy frame; it is closed where they differ.

    Raises:
        EngineError: they differ by more than ``TOLERANCE``, or the device fails on the frame.
    """
    from edgerecon.engines.onnxruntime import open_model

    frame = np.random.default_rng(0).random(file.spec.input_shape(*(file.spec.tile or _SIZE)), dtype=np.float32)
    try:
        reference = open_model(file, "cpu", engine.spec.threads, file.spec.precision)
        error = float(np.sqrt(np.mean((engine.run(frame) - reference.run(frame)) ** 2)))
        reference.close()
        engine.reset()
        if not error <= TOLERANCE:
            raise EngineError(
                f"{engine.spec.backend} differs from the CPU by {error:.2g} RMS on this device, allowed is "
                f"{TOLERANCE:.2g}: take another device"
            )
    except EngineError:
        engine.close()
        raise

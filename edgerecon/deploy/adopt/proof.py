"""The parity run: an adopted file, through the engines of the toolkit, does what the foreign network does."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from edgerecon.core.errors import EdgereconError, GateError
from edgerecon.core.frame import Image
from edgerecon.deploy.adopt.maps import MapReading
from edgerecon.deploy.adopt.network import Network
from edgerecon.deploy.adopt.range_trial import Reading
from edgerecon.deploy.difference import allowed, difference
from edgerecon.engines import backends, open_engine
from edgerecon.modelfile.spec import ModelSpec

TOLERANCE = {"fp32": 1e-4, "fp16": 4e-3, "bf16": 2e-2, "int8": 2e-2}
"""Between the two on ONNX Runtime, grey levels in [0, 1], by the precision of the file."""
ELSEWHERE = 0.5 / 255
"""Between ONNX Runtime and another runtime, RMS: that computes in another order, and in int8 by other roundings."""
_STEPS = 3


def prove(
    path: Path, network: Network, reading: Reading | MapReading, spec: ModelSpec, frames: Sequence[Image]
) -> float:
    """Run both on real frames, noise, black and white; a recurrent network on sequences of three.

    Returns:
        The greatest difference, grey levels in [0, 1]; of a map of classes, the greatest share of pixels that differ.

    Raises:
        GateError: the network gives NaN or infinity, or the two differ.
    """
    worst = 0.0
    with closing(open_engine(path, "onnxruntime")) as engine:
        for name, frame in _pictures(frames):
            sequence = [frame, frame[:, ::-1].copy(), frame][: _STEPS if spec.state_channels else 1]
            expected = _expected(network, reading, sequence)
            if not all(np.isfinite(one).all() for one in expected):
                raise GateError(f"the network gives NaN or infinity for {name}: it cannot be streamed")
            engine.reset()
            for one, wanted in zip(sequence, expected, strict=True):
                error = difference(spec, engine.run(one), np.clip(wanted, 0, 1))
                worst = float(np.maximum(worst, error))  # NaN stays, and fails the gate
    limit = allowed(spec, TOLERANCE[spec.precision])
    if not worst <= limit:
        raise GateError(f"the adopted file and the network differ by {worst:.2g}, allowed is {limit:.2g}")
    return worst


def runtimes(path: Path, frame: Image) -> dict[str, str]:
    """Every CPU runtime that is installed → "ok", or why it cannot run the file."""
    found: dict[str, str] = {}
    with closing(open_engine(path, "onnxruntime")) as engine:
        expected = engine.run(frame)
    for backend in backends().values():
        if backend.kind != "cpu" or not backend.available:
            continue
        try:
            with closing(open_engine(path, backend.name)) as engine:
                error = float(np.sqrt(np.mean((engine.run(frame) - expected) ** 2)))
        except EdgereconError as refused:
            found[backend.name] = str(refused)
            continue
        found[backend.name] = "ok" if error <= ELSEWHERE else f"differs from ONNX Runtime by {error:.2g} RMS"
    return found


def _expected(network: Network, reading: Reading | MapReading, sequence: Sequence[Image]) -> list[Image]:
    outputs = network.run_sequence(sequence, reading.given)
    return [reading.picture(frame, output) for frame, output in zip(sequence, outputs, strict=True)]


def _pictures(frames: Sequence[Image]) -> list[tuple[str, Image]]:
    shape = frames[0].shape
    noise = np.random.default_rng(0).random(shape, dtype=np.float32)
    real = [(f"frame {number}", frame) for number, frame in enumerate(frames)]
    plain = [("a black frame", np.zeros(shape, np.float32)), ("a white frame", np.ones(shape, np.float32))]
    return [*real, ("noise", noise), *plain]

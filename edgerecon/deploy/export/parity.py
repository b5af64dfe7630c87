"""The parity gate: the exported file does what the torch module does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgerecon.core.errors import GateError
from edgerecon.core.frame import Image, to_unit
from edgerecon.modelfile.ports import INPUT, STATE_IN
from edgerecon.workshop.models.network import Network
from edgerecon.workshop.models.temporal import Temporal

SIZES = ((1, 1), (2, 2), (7, 5), (33, 64), (96, 128), (129, 255), (256, 256))
REAL_FRAMES = (0, 14, 29)


def max_abs_error(content: bytes, model: Network) -> float:
    """Largest difference between ONNX Runtime and torch, before clipping, over random and real frames.

    A temporal model runs every frame as a sequence of three (the frame, mirrored, and again), state carried by both.

    Args:
        content: the ONNX file. model: what it was exported from.

    Raises:
        GateError: ONNX Runtime refuses the file or a frame.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    worst = 0.0
    try:
        session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        for frame in _frames() if model.input_channels == 1 else _apertures(model.input_channels):
            sequence = np.stack([frame, frame[:, ::-1], frame] if isinstance(model, Temporal) else [frame])
            found = _run(session, sequence, model)
            with torch.inference_mode():
                given = torch.from_numpy(sequence)
                expected = model(given[None] if model.input_channels == 1 else given)[0].numpy()
            worst = float(np.maximum(worst, np.abs(found - expected).max()))  # NaN stays, and fails the gate
    except Exception as error:  # noqa: BLE001 - the runtime's exceptions share no base
        raise GateError(f"ONNX Runtime cannot run the exported file: {str(error).splitlines()[0]}") from None
    return worst


def _run(session: Any, sequence: NDArray[np.float32], model: Network) -> NDArray[np.float32]:
    """Frames (T, H, W), or (T, C, H, W), one after the other, in float32; what comes out of a fixed size is not
    cropped."""
    if sequence.ndim == 3:
        sequence = sequence[:, None]
    height, width = sequence.shape[2:]
    multiple, scale = model.size_multiple, model.scale
    padded = np.pad(sequence, ((0, 0), (0, 0), (0, -height % multiple), (0, -width % multiple)), mode="edge")
    given: dict[str, NDArray[np.float32]] = {}
    if isinstance(model, Temporal):
        given[STATE_IN] = model.initial_state(torch.from_numpy(padded[:, 0][None])).numpy()
    found = []
    for frame in padded:
        output, *state = session.run(None, given | {INPUT: frame[None]})
        given = dict(zip(given, state, strict=True))
        found.append(output[0, 0] if model.fixed_output else output[0, 0, : height * scale, : width * scale])
    return np.stack(found)


def _apertures(channels: int) -> Iterator[NDArray[np.float32]]:
    """Parts of an aperture (C, H, W): noise of all sizes, what all parts agree on, and silence."""
    rng = np.random.default_rng(0)
    for shape in SIZES:
        yield 0.1 * rng.standard_normal((channels, *shape), np.float32)
    yield np.repeat(0.1 * rng.standard_normal((1, 33, 64), np.float32), channels, 0)
    yield np.zeros((channels, 33, 64), np.float32)


def _frames() -> Iterator[Image]:
    """Noise of even, odd and tiny sizes; black, white; then real echocardiography frames."""
    rng = np.random.default_rng(0)
    for shape in SIZES:
        yield rng.random(shape, dtype=np.float32)
    yield np.zeros((64, 48), np.float32)
    yield np.ones((64, 48), np.float32)
    yield from _real_frames()


def _real_frames() -> Iterator[Image]:
    """From the cine that ships inside pydicom (240×320)."""
    from pydicom.examples import get_path
    from pydicom.pixels import pixel_array

    for index in REAL_FRAMES:
        yield to_unit(pixel_array(get_path("ybr_color"), index=index))

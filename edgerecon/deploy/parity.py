"""The parity gate: the exported file does what the torch module does."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from edgerecon.errors import GateError
from edgerecon.frame import Image, to_unit
from edgerecon.models.network import Network

SIZES = ((1, 1), (2, 2), (7, 5), (33, 64), (96, 128), (129, 255), (256, 256))
REAL_FRAMES = (0, 14, 29)


def max_abs_error(content: bytes, model: Network) -> float:
    """Largest difference between ONNX Runtime and torch, before clipping, over random and real frames.

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
        for frame in _frames():
            found = _run(session, frame, model.size_multiple, model.scale)
            with torch.inference_mode():
                expected = model(torch.from_numpy(frame)[None, None])[0, 0].numpy()
            worst = float(np.maximum(worst, np.abs(found - expected).max()))  # NaN stays, and fails the gate
    except Exception as error:  # noqa: BLE001 - the runtime's exceptions share no base
        raise GateError(f"ONNX Runtime cannot run the exported file: {str(error).splitlines()[0]}") from None
    return worst


def _run(session: object, frame: Image, multiple: int, scale: int) -> Image:
    height, width = frame.shape
    padded = np.pad(frame, ((0, -height % multiple), (0, -width % multiple)), mode="edge")
    output = session.run(None, {"frame": padded[None, None]})[0]  # type: ignore[attr-defined]
    return np.asarray(output[0, 0, : height * scale, : width * scale])


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

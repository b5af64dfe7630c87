"""Which convolutions are dearest to quantise: how much nearer the picture is to fp32 when one alone stays in float.

A search layer by layer, as in Wu et al., "Integer Quantization for Deep Learning Inference", arXiv:2004.09602, section
5 (partial quantisation), but with each layer left out of the whole rather than quantised alone: so what runtimes make
of the file counts, too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.frame import Image
from edgerecon.workshop.compress import graph as g
from edgerecon.workshop.compress.calibration import Range, padded
from edgerecon.workshop.compress.graph import ModelProto
from edgerecon.workshop.compress.quantise import Form, quantise


def dearest_first(
    model: bytes | ModelProto,
    ranges: Mapping[str, Range],
    moments: Mapping[str, NDArray[np.float64]],
    form: Form,
    frames: Sequence[Image],
) -> tuple[str, ...]:
    """Names of the convolutions, each the one that, left in float beside those before it, brings the picture nearest.

    It ends where no further one brings it nearer, and leaves at least one to quantise.

    Args:
        model, ranges, moments, form: as ``quantise`` takes them.
        frames: float32 (H, W) in [0, 1], on which the squared error against the fp32 file is taken.
    """
    loaded = g.load(model)
    left = [node.name for node in loaded.graph.node if node.op_type == "Conv"]
    exact = _outputs(loaded, frames)

    def error(keep: Collection[str]) -> float:
        found = _outputs(quantise(loaded, ranges, form=form, keep=keep, moments=moments), frames)
        return sum(float(((a - b) ** 2).sum()) for a, b in zip(found, exact, strict=True))

    chosen: tuple[str, ...] = ()
    least = error(chosen)
    while len(left) > 1:
        errors = {name: error((*chosen, name)) for name in left}
        best = min(errors, key=errors.__getitem__)
        if errors[best] >= least:
            break
        chosen, least = (*chosen, best), errors[best]
        left.remove(best)
    return chosen


def _outputs(model: ModelProto, frames: Sequence[Image]) -> list[NDArray[Any]]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name, multiple = session.get_inputs()[0].name, int(g.metadata(model).get("size_multiple", 1))
    return [np.asarray(session.run(None, {name: padded(frame, multiple)})[0]) for frame in frames]

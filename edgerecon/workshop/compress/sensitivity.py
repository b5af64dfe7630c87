"""Which convolutions are dearest to quantise: how much PSNR comes back when one stays in float.

A search layer by layer, as in Wu et al., "Integer Quantization for Deep Learning Inference", arXiv:2004.09602, section
5 (partial quantisation), but with each layer left out of the whole rather than quantised alone: so what runtimes make
of the file counts, too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.frame import Image
from edgerecon.engines.onnxruntime import CHANGES_WEIGHTS
from edgerecon.quality.measures.full_reference import psnr
from edgerecon.workshop.compress import graph as g
from edgerecon.workshop.compress.calibration import Range, padded
from edgerecon.workshop.compress.graph import ModelProto
from edgerecon.workshop.compress.quantise import Form, quantise


def most_sensitive_first(
    model: bytes | ModelProto,
    ranges: Mapping[str, Range],
    moments: Mapping[str, NDArray[np.float64]],
    form: Form,
    frames: Sequence[Image],
    targets: Sequence[Image],
) -> tuple[str, ...]:
    """Names of the convolutions, each the one that, left in float beside those before it, brings back most PSNR.

    It ends where no further one brings back any, and leaves at least two to quantise, if there are as many.

    Args:
        model, ranges, moments, form: as ``quantise`` takes them.
        frames, targets: float32 (H, W) in [0, 1], on which the mean PSNR is taken.
    """
    loaded = g.load(model)
    left = [node.name for node in loaded.graph.node if node.op_type == "Conv"]

    def error(keep: Collection[str]) -> float:
        """Negative mean PSNR."""
        found = _outputs(quantise(loaded, ranges, form=form, keep=keep, moments=moments), frames)
        return -fmean(psnr(a, b) for a, b in zip(found, targets, strict=True))

    chosen: tuple[str, ...] = ()
    least, most = error(chosen), max(len(left) - 2, 1)
    while len(chosen) < most:
        errors = {name: error((*chosen, name)) for name in left}
        best = min(errors, key=errors.__getitem__)
        if errors[best] >= least:
            break
        chosen, least = (*chosen, best), errors[best]
        left.remove(best)
    return chosen


def _outputs(model: ModelProto, frames: Sequence[Image]) -> list[Image]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"], disabled_optimizers=CHANGES_WEIGHTS
    )
    name, multiple = session.get_inputs()[0].name, int(g.metadata(model).get("size_multiple", 1))
    made = [session.run(None, {name: padded(frame, multiple)})[0][0, 0] for frame in frames]
    return [np.clip(a[: b.shape[0], : b.shape[1]], 0, 1) for a, b in zip(made, frames, strict=True)]

"""The precisions and forms that a model family has files of."""

from __future__ import annotations

import re
from pathlib import Path

CPU = ("onnxruntime", "openvino")


SIGNED = ("tensorrt", "cuda")
"""Runtimes that take int8 files of the signed form, and no others."""


SIMULATED = "hls"
"""Takes files of the po2 form and no others; its pictures are those of hardware, its time is not."""


def whole(path: Path) -> Path:
    """The fp32 file of a file's family, by the naming convention."""
    return path.with_name(family(path.stem) + path.suffix)


def family(stem: str) -> str:
    """Name of the model that a file is one precision of, e.g. "compact-despeckle" of "compact-despeckle-int8"."""
    return re.sub(r"-(fp16|int8|int8-trt|po2)$", "", stem)

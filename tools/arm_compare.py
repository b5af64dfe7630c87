"""Compare what two processors made of the same frames with the same files, see arm.py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

import numpy as np
import onnx

from edgerecon.modelfile.catalogue import model_path
from edgerecon.modelfile.file import read_model

FLOAT_ERROR = 1e-5
"""What an export allows between ONNX Runtime and torch: both sum in float32, in another order."""
GREY_LEVEL = 1 / 255
"""A step of the 8 bits that a screen shows: no pixel may be moved by more.

ONNX Runtime computes fp16 in float32 on x86-64, and sums in half precision where the processor has it. A sum of 144
products near 4 is rounded to 1/256 each time there, so that less cannot be asked of it, and white noise, on which the
files are compared, is the frame with the largest sums. In an int8 file with layers in float, a value between two steps
may be rounded to the other one.
"""


def allowed(name: str) -> float:
    """Largest difference between processors of a shipped file's picture, in [0, 1]."""
    spec = read_model(model_path(name)).spec
    if spec.precision == "fp16":
        return GREY_LEVEL
    if spec.precision == "fp32":
        return FLOAT_ERROR
    if not is_wholly_integer(onnx.load(str(model_path(name)))):
        return GREY_LEVEL
    return FLOAT_ERROR if spec.form == "signed" else 0.0  # signed files add the frame in float


def is_wholly_integer(model: onnx.ModelProto) -> bool:
    """Whether no convolution takes a float, but one that stands for an integer (DequantizeLinear)."""
    made_by = {name: node.op_type for node in model.graph.node for name in node.output}
    taken = [node.input[0] for node in model.graph.node if node.op_type in ("Conv", "ConvTranspose")]
    return all(made_by.get(name) == "DequantizeLinear" for name in taken)


def differences(here: Path, there: Path) -> Mapping[str, float]:
    """Largest difference of each array, in grey levels of [0, 1]; nan for one that only one side has."""
    with np.load(here) as ours, np.load(there) as theirs:
        names = sorted({*ours, *theirs})
        both = {name for name in names if name in ours and name in theirs}
        return {name: float(np.abs(ours[name] - theirs[name]).max()) if name in both else np.nan for name in names}


def compare(here: Path, there: Path, out: TextIO) -> int:
    """Write a line for each file and backend; returns how many differ by more than is allowed."""
    failed = 0
    for name, difference in differences(here, there).items():
        limit = allowed(name.partition(" on ")[0])
        failed += not difference <= limit
        said = "the same bytes" if difference == 0 else f"{difference:.1e} apart, {limit:.0e} is allowed"
        out.write(f"{name}: {said}\n")
    return failed

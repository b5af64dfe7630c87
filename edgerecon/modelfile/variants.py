"""The files that a model family has: one row a precision and form.

A family's fp32 file is NAME.onnx; every other file carries the suffix of its variant. Runtimes say by these keys what
they run (``edgerecon.engines.backend.Backend.runs``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgerecon.core.errors import UsageError
from edgerecon.modelfile.spec import ModelSpec


@dataclass(frozen=True)
class Variant:
    """One kind of file.

    Attributes:
        key: how runtimes, recipes and tests name it. suffix: of the file's stem.
        precision, form: as the file's metadata state them. purpose: one phrase for documents.
        faster_on: kind of runtime, "cpu" or "gpu", on which ``export`` ships the file only if it is faster there than
            the fp32 file. "": the file is for something else, e.g. for size, and its speed is not compared.
        standard: its operators are ONNX's own; others run on what names the key alone.
        convert: "module:function" that makes the file from the bytes of the fp32 file and needs no calibration; it
            returns an ``onnx.ModelProto``. "": made from calibration data (``deploy.export``), or the fp32 file.
    """

    key: str
    suffix: str
    precision: str
    form: str
    purpose: str
    standard: bool = True
    convert: str = ""
    faster_on: Literal["cpu", "gpu", ""] = ""


VARIANTS = (
    Variant("fp32", "", "fp32", "", "every runtime"),
    Variant(
        "fp16",
        "-fp16",
        "fp16",
        "",
        "GPUs in half precision; on x86-64 CPU runtimes compute it in fp32",
        convert="edgerecon.workshop.compress.half:to_half",
        faster_on="gpu",
    ),
    Variant(
        "bf16",
        "-bf16",
        "bf16",
        "",
        "half the size of fp32 with its range; weights in bfloat16",
        convert="edgerecon.workshop.compress.brain_float:to_brain_float",
    ),
    Variant("int8", "-int8", "int8", "unsigned", "CPU runtimes; activations are unsigned", faster_on="cpu"),
    Variant(
        "int8-trt",
        "-int8-trt",
        "int8",
        "signed",
        "TensorRT and our CUDA kernels; activations are signed",
        faster_on="gpu",
    ),
    Variant("int16", "-int16", "int16", "", "our CPU kernels; exact integers", standard=False, faster_on="cpu"),
    Variant("po2", "-po2", "int8", "po2", "FPGAs; scales are powers of two"),
)

PRECISIONS = tuple(dict.fromkeys(variant.precision for variant in VARIANTS))
"""The precisions that ``--precision`` takes."""

DERIVED = tuple(
    dict.fromkeys(one.precision if one.form != "po2" else one.key for one in VARIANTS if one.precision != "fp32")
)
"""What ``[targets] precisions`` of a recipe takes: the files made of the fp32 one; int8 stands for both its forms."""


def check_precision(precision: str) -> str:
    """The precision itself.

    Raises:
        UsageError: it is none of ``PRECISIONS``.
    """
    return _one_of(precision, PRECISIONS)


def check_derived(precision: str) -> str:
    """The precision itself.

    Raises:
        UsageError: it is none of ``DERIVED``.
    """
    return _one_of(precision, DERIVED)


def _one_of(precision: str, known: tuple[str, ...]) -> str:
    if precision not in known:
        raise UsageError(f"unknown precision '{precision}': choose one of {', '.join(known)}")
    return precision


def variant(key: str) -> Variant:
    """The variant of a key. Raises KeyError when there is none."""
    return next(one for one in VARIANTS if one.key == key)


def variant_of(spec: ModelSpec) -> Variant | None:
    """The variant that a file's metadata describe; None for precisions of later versions."""
    return next((one for one in VARIANTS if (one.precision, one.form) == (spec.precision, spec.form)), None)


def family(stem: str) -> str:
    """Name of the model that a file is one variant of.

    Examples:
        >>> family("compact-despeckle-int8")
        'compact-despeckle'
    """
    for one in sorted(VARIANTS, key=lambda variant: -len(variant.suffix)):
        if one.suffix and stem.endswith(one.suffix):
            return stem.removesuffix(one.suffix)
    return stem


def sibling(path: Path, wanted: Variant) -> Path:
    """Path that another variant of a file's family has by convention."""
    return path.with_name(family(path.stem) + wanted.suffix + path.suffix)


def fp32_path(path: Path) -> Path:
    """The fp32 file of a file's family, by convention."""
    return sibling(path, VARIANTS[0])

"""A derived precision ships only where it is faster than the fp32 file, on devices of the kind that it is for."""

from __future__ import annotations

from collections.abc import Sequence

from edgerecon.engines import backends
from edgerecon.measure.row import Row
from edgerecon.modelfile.variants import VARIANTS, variant

MADE_FOR = {"int8": "cpu", "int16": "cpu", "int8-trt": "gpu", "fp16": "gpu"}
"""Variants that exist for speed on a kind of runtime. bf16 is for size, po2 for FPGAs, which are not timed here."""


def slower_than_parent(rows: Sequence[Row], name: str) -> dict[str, str]:
    """Files that are to stay here, by stem, with the reason: the fastest way to run each is slower than fp32's.

    Args:
        rows: of the files NAME.onnx, NAME-int8.onnx, ..., side by side on this host. name: the model's.
    """
    found = {}
    for one in VARIANTS:
        kind = MADE_FOR.get(one.key)
        if kind is None:
            continue
        stem = name + one.suffix
        own, parent = _fastest(rows, stem, kind), _fastest(rows, name + variant("fp32").suffix, kind)
        if own is not None and parent is not None and _ms(own) >= _ms(parent):
            found[stem] = f"{own.name} takes {_ms(own):.2f} ms for a frame here and {parent.name} {_ms(parent):.2f} ms"
    return found


def _fastest(rows: Sequence[Row], stem: str, kind: str) -> Row | None:
    known = backends()
    own = [row for row in rows if row.ok and row.speed.latency_ms and row.setup.model == stem]
    timed = [row for row in own if row.setup.backend in known and known[row.setup.backend].kind == kind]
    return min(timed, key=_ms, default=None)


def _ms(row: Row) -> float:
    return row.speed.latency_ms["p50"]

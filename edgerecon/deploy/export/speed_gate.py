"""A derived precision ships only where it is faster than the fp32 file, on the runtimes that it is for.

A file is compared with its parent on the runtimes that run both: int8 on those of stock, int16 on ours. Our own fp32
kernels are faster than int8 on a stock runtime, but run no int8: who has them is given their files by ``auto`` and
``fit``, which time every file with every runtime. The int8 file is for the others, on Windows or macOS, on an NPU, or
without a compiler, and there it has to be the faster one.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgerecon.engines import backends
from edgerecon.measure.row import Row
from edgerecon.modelfile.variants import VARIANTS, variant


def slower_than_parent(rows: Sequence[Row], name: str) -> dict[str, str]:
    """Files that are to stay here, by stem, with the reason: no runtime that runs one is faster than fp32 is on
    the fastest of these runtimes.

    Args:
        rows: of the files NAME.onnx, NAME-int8.onnx, ..., side by side on this host. name: the model's.
    """
    found = {}
    for one in VARIANTS:
        if not one.faster_on:
            continue
        kind, stem = one.faster_on, name + one.suffix
        own = _timed(rows, stem, kind)
        runtimes = {row.setup.backend for row in own}
        parents = [row for row in _timed(rows, name + variant("fp32").suffix, kind) if row.setup.backend in runtimes]
        if not own or not parents:
            continue
        fastest, parent = min(own, key=_ms), min(parents, key=_ms)
        if _ms(fastest) >= _ms(parent):
            theirs = f"{parent.name} {_ms(parent):.2f} ms"
            found[stem] = f"{fastest.name} takes {_ms(fastest):.2f} ms for a frame here and {theirs}"
    return found


def _timed(rows: Sequence[Row], stem: str, kind: str) -> list[Row]:
    known = backends()
    own = [row for row in rows if row.ok and row.speed.latency_ms and row.setup.model == stem]
    return [row for row in own if row.setup.backend in known and known[row.setup.backend].kind == kind]


def _ms(row: Row) -> float:
    return row.speed.latency_ms["p50"]

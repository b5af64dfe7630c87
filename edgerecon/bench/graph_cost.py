"""The work of a row's graph, and the least time that this host's measured rates allow for it (``measure.roofline``)."""

from __future__ import annotations

from typing import Any

from edgerecon.bench.grid import Cell
from edgerecon.core.errors import EdgereconError
from edgerecon.engines import backends
from edgerecon.hardware.device import HOST, load_device
from edgerecon.measure.roofline import bound, count
from edgerecon.measure.row import Cost


def graph_cost(cell: Cell, shape: tuple[int, int]) -> Cost:
    """size_kb, gops, mbytes and, on a CPU, floor_ms of one frame; size_kb alone where an operator is not counted."""
    size_kb = len(cell.file.content) / 1000
    on_gpu = backends()[cell.backend].kind == "gpu"
    # CPUs store halves and compute in single precision.
    precision: Any = "fp32" if cell.precision == "fp16" and not on_gpu else cell.precision
    try:
        counts = count(cell.file, *shape)
        work = {"gops": 2 * counts.macs / 1e9, "mbytes": counts.fused_bytes(precision) / 1e6}
        host = load_device(HOST)
        if on_gpu or precision not in host.peak:  # a GPU's rates are not measured
            return Cost(size_kb, **work)
        return Cost(size_kb, **work, floor_ms=bound(counts, host, precision).ms)
    except EdgereconError:
        return Cost(size_kb)


def host_roof() -> dict[str, Any]:
    """gops: precision → 10⁹ operations a second; bandwidth_gbs: 10⁹ bytes a second; measured on this host."""
    host = load_device(HOST)
    return {"gops": dict(host.peak), "bandwidth_gbs": host.bandwidth_gbs}

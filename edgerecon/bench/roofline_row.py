"""The work of a row's graph, and the least time that this host's measured rates allow for it (``latency.roofline``)."""

from __future__ import annotations

import dataclasses
from typing import Any

from edgerecon.core.errors import EdgereconError
from edgerecon.engines import backends
from edgerecon.engines.grid import Cell
from edgerecon.hardware.device import HOST, load_device
from edgerecon.measure.roofline import bound, count
from edgerecon.measure.row import Row


def with_floor(row: Row, cell: Cell) -> Row:
    """The row with gops, mbytes and, on a CPU, floor_ms; unchanged where an operator is not counted."""
    on_gpu = backends()[cell.backend].kind == "gpu"
    # CPUs store halves and compute in single precision.
    precision: Any = "fp32" if cell.precision == "fp16" and not on_gpu else cell.precision
    try:
        counts = count(cell.path, *row.shape)
        row = dataclasses.replace(row, gops=2 * counts.macs / 1e9, mbytes=counts.fused_bytes(precision) / 1e6)
        host = load_device(HOST)
        if on_gpu or precision not in host.peak:  # a GPU's rates are not measured
            return row
        return dataclasses.replace(row, floor_ms=bound(counts, host, precision).ms)
    except EdgereconError:
        return row


def host_roof() -> dict[str, Any]:
    """gops: precision → 10⁹ operations a second; bandwidth_gbs: 10⁹ bytes a second; measured on this host."""
    host = load_device(HOST)
    return {"gops": dict(host.peak), "bandwidth_gbs": host.bandwidth_gbs}

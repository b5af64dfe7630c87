"""The shown frames as an .npz file."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np

from edgerecon.stream.sinks.files.spool import Spool, SpooledSink
from edgerecon.stream.sinks.kind import SinkKind


class NpzSink(SpooledSink):
    """Writes ``frames`` (uint8 T×H×W, or T×H×W×3 in colour), ``fps``, ``timestamps`` (float64 T, seconds since the
    first frame) and, when known and the same for all frames, ``spacing_mm`` (row, column).
    """

    def pack(self, spool: Spool, to: IO[bytes]) -> None:
        stamps = spool.stamps
        extras: dict[str, object] = {"fps": 1 / stamps.period_s, "timestamps": stamps.seconds}
        if stamps.spacing_mm is not None:
            extras["spacing_mm"] = stamps.spacing_mm
        np.savez(to, frames=spool.frames, **extras)  # type: ignore[arg-type]


SINK = SinkKind(
    name="NumPy",
    title="a NumPy file",
    endings=(".npz",),
    open=lambda place, query: NpzSink(Path(place)),
)

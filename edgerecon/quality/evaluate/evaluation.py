"""The result of ``edgerecon evaluate``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from edgerecon.core.frame import Image
from edgerecon.core.json import plain
from edgerecon.hardware.device import host_profile
from edgerecon.measure.bootstrap import Interval

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, done, total)."""


@dataclass(frozen=True)
class MethodResult:
    """One line of the table.

    Attributes:
        method: "input", "model" or a classical filter.
        parameters: of a classical filter.
        measures: name → mean over scenes or files with its bootstrap 95 % interval.
    """

    method: str
    parameters: dict[str, float]
    measures: dict[str, Interval]


@dataclass
class Evaluation:
    """What was measured, how, and on what.

    Attributes:
        model, backend, precision: of the engine. data: file or folder. kind: "pairs", "recordings" or "enlarged".
        table: one line a method. rows: one a method and image: {"file", "image", "method", measures...}.
        advantage: pairs: measure → {"over": best classical method by it, mean, low, high} of the paired difference.
        front: recordings: structure kept against speckle left, see ``structure_front``.
        tradeoff: the same of edge preservation and speckle SNR, gain-matched; stays for one release.
        regions: "file", "automatic" or None. notes: what a reader of the figures has to know. seconds: run time.
        host: where it was measured (see ``edgerecon.hardware.device.host_profile``).
        panels: name → images to show side by side, by caption; not in the JSON.
    """

    model: str
    backend: str
    precision: str
    data: str
    kind: str
    table: list[MethodResult]
    rows: list[dict[str, Any]]
    advantage: dict[str, dict[str, Any]] = field(default_factory=dict)
    front: dict[str, Any] | None = None
    tradeoff: dict[str, Any] | None = None
    regions: str | None = None
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    host: dict[str, object] = field(default_factory=host_profile)
    panels: dict[str, dict[str, Image]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``; figures that do not exist (nan, inf) become None."""
        facts = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("panels", "table")}
        return dict(plain({**facts, "table": [asdict(line) for line in self.table]}))

    def line(self, method: str) -> MethodResult:
        """Table line of one method. Raises KeyError when it was not evaluated."""
        for line in self.table:
            if line.method == method:
                return line
        raise KeyError(method)

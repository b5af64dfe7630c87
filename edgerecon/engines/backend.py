"""What a runtime says of itself: one record at the end of its file, from which every list of runtimes is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from edgerecon.core.records import Records
from edgerecon.engines.base import Engine
from edgerecon.modelfile.file import ModelFile

GROUP = "edgerecon.engines"
"""Entry points of other packages: ``name = "module:BACKEND"``."""

FOLDERS = ("edgerecon.engines",)
Kind = Literal["cpu", "gpu", "reference", "simulation"]


@dataclass(frozen=True)
class Backend:
    """One runtime.

    Attributes:
        name: what ``--backend`` takes. title: as its makers spell it.
        kind: where it runs. A reference or a simulation is benched and compared, never chosen to ship.
        runs: keys of the variants it takes (``edgerecon.modelfile.variants``), the one it prefers for each precision
            first.
        open: (file, device, threads, precision) → engine. device is None for the runtime's own choice; precision is
            that of the file, or one of ``computes``. Raises UsageError, ModelError, EngineError.
        probe: why it cannot be used here, in a phrase; "" when it can. Does not import the runtime.
        remedy: the command that adds it.
        rank: its place in ``auto`` among those that take a file, the smallest first; 0: only when asked for by name.
        proves: ``auto`` takes it only where it was measured faster than the next one that takes the file.
        computes: stored precision → further precisions in which it can compute such a file.
        extra: of edgerecon, that brings it; "" when it comes with edgerecon, or with the system.
        packages: distributions that bring it to a device, for bundles and bills of materials.
    """

    name: str
    title: str
    kind: Kind
    runs: tuple[str, ...]
    open: Callable[[ModelFile, str | None, int, str], Engine]
    probe: Callable[[], str]
    remedy: str
    rank: int = 0
    proves: bool = False
    computes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    extra: str = ""
    packages: tuple[str, ...] = ()

    @property
    def available(self) -> bool:
        """Whether it can be used here, found out without importing it."""
        return not self.probe()

    @property
    def ships(self) -> bool:
        """Whether a deployment may choose it."""
        return self.kind in ("cpu", "gpu")


@cache
def backends() -> Mapping[str, Backend]:
    """Every runtime by name: those of this folder by rank and name, then those of other packages."""
    return Records(Backend, "BACKEND", FOLDERS, GROUP, order=lambda one: (one.rank or 1000, one.name))


def missing(*modules: str) -> str:
    """Which Python modules a runtime lacks here, as a probe says it; "" when all are installed."""
    from importlib.util import find_spec

    absent = [name for name in modules if find_spec(name) is None]
    return f"{' and '.join(absent)} not installed" if absent else ""

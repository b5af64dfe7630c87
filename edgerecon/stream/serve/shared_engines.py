"""Engines that several streams of one process have in common.

What was measured (8 streams of 256×256 through compact-despeckle, 2 cores, fp32, by ratio within one run):

- Eight ONNX Runtime engines on one session, each with buffers of its own, are as quick as eight sessions (worst latency
  of a round 0.98 of theirs) and take 9 MB instead of 43. So the session is shared.
- OpenVINO's requests of one compiled network go through its queue and wait for threads that must first be woken: the
  typical latency was three times, the worst four times that of eight compiled networks, for 26 MB less. Not shared.
- One engine behind a lock, or two, let streams wait for a thread that the system has put aside: whenever anything else
  ran on the machine, the worst latency was several times that of an engine a stream. And a call that hangs would hold
  up all of them, not one.
- A frame costs the same processor time in a batch of 2, 4 or 8 as alone, in fp32 and int8: within 4 % on OpenVINO,
  with more noise on ONNX Runtime. A batch ends with its last frame, so that none of them is ready earlier than it would
  be alone, and the first ones later. There is no micro-batching.
- Eight engines of which only two may run at a time are no cure for a machine that is nearly full: 74 % of the deadlines
  missed, where each running when it likes missed 5 to 13 %.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

from edgerecon.engines import open_engine
from edgerecon.engines.base import Engine

_How = tuple[str, str, str | None, int | None]


class SharedEngines:
    """Opens each (model, backend, precision, threads) once where the runtime lets engines be doubled.

    An engine can be doubled when it has ``duplicate()``: another engine on the same weights, with buffers and state of
    its own, that may run at the same time. What a stream opens after a fault is its own (``Engines.reopen``).

    Args:
        open_first: stands for ``open_engine``, for tests.
    """

    def __init__(self, open_first: Callable[..., Engine] = open_engine) -> None:
        self._open_first = open_first
        self._lock = threading.Lock()
        self._opening: dict[_How, threading.Lock] = {}
        self._firsts: dict[_How, Engine] = {}

    def open(
        self, model: str, backend: str = "auto", precision: str | None = None, *, threads: int | None = None
    ) -> Engine:
        """As ``open_engine``; the caller closes the engine."""
        how = (model, backend, precision, threads)
        with self._lock:
            opening = self._opening.setdefault(how, threading.Lock())
        with opening:  # of this kind alone: others need not wait for one that takes its time
            first: Any = self._firsts.get(how)
            if first is None:
                first = self._open_first(model, backend, precision, threads=threads)
                if not hasattr(first, "duplicate"):
                    return cast(Engine, first)
                self._firsts[how] = first
            return cast(Engine, first.duplicate())

    def close(self) -> None:
        """Let go of what was shared; engines that streams still have stay usable."""
        with self._lock:
            for first in self._firsts.values():
                first.close()
            self._firsts.clear()

"""Opens engines anew: after a call that did not return, or many that failed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from edgerecon.engines.base import Engine, EngineSpec
from edgerecon.stream.counters import Counters
from edgerecon.stream.ladder import Rung

ABANDONED_AT_MOST = 4
"""Engines whose calls have not returned; each keeps its memory and its thread."""

_WAIT_S, _WAIT_AT_MOST_S = 0.5, 30.0
_log = logging.getLogger(__name__)


def warm_up(engine: Engine, shape: tuple[int, ...]) -> None:
    """Run two blank frames of a size, so that the first real one finds everything made ready."""
    blank = np.zeros(shape, np.float32)
    out = engine.run(blank).copy()
    engine.run(blank, out)
    engine.reset()


class Replacer:
    """Gives a rung another engine, opened and warmed up on a thread of its own while frames are shown raw.

    A rung whose engine hung gets a new one at once, up to ``ABANDONED_AT_MOST`` times; then, or without ``reopen``, it
    gets its own back when the call returns. Engines that the stream opened are closed by it, the caller's are not.

    Args:
        reopen: opens an engine like the one that has this spec. None: there is no way to.
    """

    def __init__(self, reopen: Callable[[EngineSpec], Engine] | None, counters: Counters) -> None:
        self._reopen = reopen
        self._counters = counters
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._own: list[Engine] = []
        self._abandoned: list[Engine] = []

    def replace(self, rung: Rung, engine: Engine, shape: tuple[int, ...], still_in_use: bool) -> None:
        """Take an engine out of its rung and open another one, which takes over when it is ready."""
        with self._lock:
            if still_in_use:
                self._abandoned.append(engine)
            elif self._reopen is None:
                return
            rung.engine = None
            rung.absent = "the engine hung" if still_in_use else "the engine failed"
            if self._reopen is None or len(self._abandoned) > ABANDONED_AT_MOST:
                return
        if not still_in_use:
            self._let_go(engine)
        threading.Thread(target=self._open, args=(rung, engine.spec, shape), name="reopen", daemon=True).start()

    def returned(self, rung: Rung, engine: Engine) -> None:
        """A call that had been given up has come back: its engine is free."""
        with self._lock:
            self._abandoned.remove(engine)
            if rung.engine is None and not self._closed.is_set():
                rung.engine = engine
                _log.warning("%s answers again", rung.name)
                return
        self._let_go(engine)

    def close(self) -> None:
        """Open no more, and close what was opened, but for what is still in a call."""
        self._closed.set()
        with self._lock:
            idle = [engine for engine in self._own if engine not in self._abandoned]
        for engine in idle:
            self._let_go(engine)

    def _open(self, rung: Rung, spec: EngineSpec, shape: tuple[int, ...]) -> None:
        assert self._reopen is not None
        wait_s = _WAIT_S
        while rung.engine is None and not self._closed.is_set():
            engine = None
            try:
                engine = self._reopen(spec)
                self._own.append(engine)
                warm_up(engine, shape)
            except Exception as error:  # noqa: BLE001 - whatever fails, it is tried again later
                _log.warning("%s cannot be opened again: %s", rung.name, error)
                if engine is not None:
                    self._let_go(engine)
                self._closed.wait(wait_s)
                wait_s = min(2 * wait_s, _WAIT_AT_MOST_S)
            else:
                self._install(rung, engine)

    def _install(self, rung: Rung, engine: Engine) -> None:
        with self._lock:
            wanted = rung.engine is None and not self._closed.is_set()
            if wanted:
                rung.engine = engine
                self._counters.replaced += 1
        if wanted:
            _log.warning("%s was opened again", rung.name)
        else:
            self._let_go(engine)

    def _let_go(self, engine: Engine) -> None:
        with self._lock:
            if engine not in self._own:
                return
            self._own.remove(engine)
        with suppress(Exception):
            engine.close()

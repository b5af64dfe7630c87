"""Makes engines ready and opens them anew: after a call that did not return, or many that failed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from time import monotonic

from edgerecon.core.errors import first_line
from edgerecon.core.frame import Image
from edgerecon.engines.base import Engine, EngineSpec
from edgerecon.stream.accounting.counters import Counters
from edgerecon.stream.loop.ladder import Rung
from edgerecon.stream.process.backoff import Backoff
from edgerecon.stream.process.guarded import GuardedThread

ABANDONED_AT_MOST = 4
"""Engines whose calls have not returned; each keeps its memory and its thread."""

_WAIT_S, _WAIT_AT_MOST_S = 0.5, 30.0
_LOOK_EVERY_S = 0.05
_LEFT_AFTER_S = 1.5
_log = logging.getLogger(__name__)


def warm_up(engine: Engine, frame: Image) -> None:
    """Run a frame twice, so that the next one finds everything made ready for its size and for where its tissue is."""
    out = engine.run(frame).copy()
    engine.run(frame, out)
    engine.reset()


@dataclass(eq=False)
class _WarmUp:
    """The first calls of an engine. ``keep``: it goes into its rung whatever they raise; frames will meet it again."""

    rung: Rung
    engine: Engine
    frame: Image
    keep: bool
    began_s: float = field(default_factory=lambda: monotonic())  # the clock that says later how long it took


class _GivenUp(Exception):
    """Raised in the thread of a warm-up that has come back after it was given up."""


class Replacer:
    """Gives a rung its engine, or another one, warmed up on a thread of its own while frames are shown raw.

    A rung whose engine hung gets a new one at once, up to ``ABANDONED_AT_MOST`` times; then, or without ``reopen``, it
    gets its own back when the call returns. Engines that the stream opened are closed by it, the caller's are not.

    Args:
        reopen: opens an engine like the one that has this spec. None: there is no way to.
        hang_s: how long the first calls of an engine may take.
    """

    def __init__(self, reopen: Callable[[EngineSpec], Engine] | None, counters: Counters, hang_s: float) -> None:
        self._reopen = reopen
        self._counters = counters
        self._hang_s = hang_s
        self._lock = threading.Condition()  # notified when an engine is warm
        self._closed = threading.Event()
        self._own: list[Engine] = []
        self._abandoned: list[Engine] = []
        self._warming: list[_WarmUp] = []

    def warm_up(self, rung: Rung, frame: Image) -> None:
        """Take a rung's engine until it is ready for frames like this one. It may hang, as any call may."""
        engine = rung.engine
        if engine is None:
            return
        rung.engine, rung.absent = None, "the engine warms up"
        one = _WarmUp(rung, engine, frame, keep=True)
        with self._lock:
            self._warming.append(one)
        GuardedThread("warm up", partial(self._warm_up_first, one)).start()

    def wait_warm(self, at_most_s: float, stop: threading.Event | None = None) -> None:
        """Wait until no engine warms up any more."""
        until = monotonic() + at_most_s
        with self._lock:
            while self._warming and monotonic() < until and not (stop and stop.is_set()):
                self._lock.wait(_LOOK_EVERY_S)

    def abandon_hung(self) -> None:
        """Replace engines whose first calls take too long. To be called now and then."""
        with self._lock:
            for one in self._hung_warm_ups():
                self.replace(one.rung, one.engine, one.frame, still_in_use=True)
            self._lock.notify_all()

    def _hung_warm_ups(self) -> list[_WarmUp]:
        """Count the first calls that take too long, and wait for them no more. Called with the lock."""
        hung = [one for one in self._warming if monotonic() - one.began_s >= self._hang_s]
        for one in hung:
            self._warming.remove(one)
            self._counters.hung += 1
            _log.warning("%s has not warmed up for %.3g s: frames are shown raw", one.rung.name, self._hang_s)
        return hung

    def replace(self, rung: Rung, engine: Engine, frame: Image, still_in_use: bool) -> None:
        """Take an engine out of its rung and open another one, which takes over when it is ready.

        One that merely failed stays where it is when there is no other to be had.
        """
        with self._lock:
            if still_in_use:
                self._abandoned.append(engine)
            another = self._reopen is not None and len(self._abandoned) <= ABANDONED_AT_MOST
            if not still_in_use and not another:
                return
            rung.engine = None
            rung.absent = "the engine hung" if still_in_use else "the engine failed"
        if another:
            failed = None if still_in_use else engine
            GuardedThread("reopen", partial(self._open, rung, engine.spec, frame.copy(), failed)).start()

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
        """Open no more, and close what was opened, but for what is still in a call. Waits a little for warm-ups: the
        caller is to close engines that nobody uses."""
        self._closed.set()
        until = monotonic() + _LEFT_AFTER_S
        with self._lock:
            while self._warming and monotonic() < until:
                self._abandoned += [one.engine for one in self._hung_warm_ups()]  # the frames ended meanwhile
                self._lock.wait(_LOOK_EVERY_S)
            idle = [engine for engine in self._own if engine not in self._abandoned]
        for engine in idle:
            self._let_go(engine)

    def _warm_up_first(self, one: _WarmUp) -> None:
        try:
            self._warm_up(one)
        except _GivenUp:
            self.returned(one.rung, one.engine)
        except BaseException as error:  # noqa: BLE001 - met again with the first frame, and counted then
            _log.debug("%s fails on a blank frame: %s", one.rung.name, first_line(error))

    def _warm_up(self, one: _WarmUp) -> None:
        """Raises _GivenUp when another engine was asked for meanwhile, else what the engine raises."""
        try:
            warm_up(one.engine, one.frame)
        finally:
            with self._lock:
                if one not in self._warming:
                    raise _GivenUp
                self._warming.remove(one)
                if one.keep:
                    one.rung.engine = one.engine
                self._lock.notify_all()

    def _open(self, rung: Rung, spec: EngineSpec, frame: Image, failed: Engine | None) -> None:
        if failed is not None:
            self._let_go(failed)
        backoff = Backoff(self._closed, _WAIT_S, _WAIT_AT_MOST_S)
        while rung.engine is None and not self._closed.is_set():
            try:
                engine = self._open_one(rung, spec, frame)
            except _GivenUp:
                return
            except BaseException as error:  # noqa: BLE001 - whatever fails, it is tried again later
                _log.warning("%s cannot be opened again: %s", rung.name, first_line(error))
                backoff.wait()
            else:
                self._install(rung, engine)

    def _open_one(self, rung: Rung, spec: EngineSpec, frame: Image) -> Engine:
        assert self._reopen is not None
        engine = self._reopen(spec)
        one = _WarmUp(rung, engine, frame, keep=False)
        with self._lock:
            self._own.append(engine)
            self._warming.append(one)
        try:
            self._warm_up(one)
        except _GivenUp:
            self.returned(rung, engine)
            raise
        except BaseException:
            self._let_go(engine)
            raise
        return engine

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
        with suppress(BaseException):  # it is of no use any more
            engine.close()

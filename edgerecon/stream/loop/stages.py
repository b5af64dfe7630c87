"""Runs the stages of a stream, each on its thread, while the caller's thread waits and may be interrupted."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from edgerecon.core.errors import first_line
from edgerecon.stream.process.guarded import GuardedThread

_PROGRESS_EVERY_S = 0.25
_SAME_CTRL_C_S = 1.0
_LEFT_AFTER_S = 2.0
_log = logging.getLogger(__name__)


def run_stages(
    stages: Sequence[Callable[[], None]],
    stop: threading.Event,
    ended: threading.Event,
    on_progress: Callable[[], None] | None,
    give_up: Callable[[], None],
) -> tuple[bool, list[str]]:
    """Run the stages until the last of them ends. Returns whether Ctrl-C ended it, and what stages failed by.

    Args:
        stages: in the order of the frames; the others end because the last one does, or soon after.
        stop: set when Ctrl-C or a failing ``on_progress`` is to end the stream.
        ended: set when the last stage has ended.
        on_progress: called four times a second in this thread.
        give_up: called when a stage has failed, wherever it did; the other stages end by it.
    """

    # Not Thread.join: when Ctrl-C interrupts it, Python up to 3.12 takes a running thread for an ended one.
    def last() -> None:
        try:
            stages[-1]()
        finally:
            ended.set()

    threads = [
        GuardedThread(name, stage, lambda error: give_up())
        for name, stage in zip(map(_name, stages), (*stages[:-1], last), strict=True)
    ]
    interrupted = False
    try:
        for thread in threads:
            thread.start()
        while not ended.wait(_PROGRESS_EVERY_S if on_progress else None):
            if on_progress:
                on_progress()
        if on_progress:
            on_progress()
    except KeyboardInterrupt:
        interrupted = True
    finally:
        if not ended.is_set():
            stop.set()
        if threads[-1].ident is not None:
            _drain(ended)
        _join([thread for thread in threads if thread.ident is not None])
    failures = [f"the {one.name} failed: {first_line(one.failure)}" for one in threads if one.failure is not None]
    return interrupted, failures


def _name(stage: Callable[[], None]) -> str:
    owner = getattr(stage, "__self__", None)
    return type(owner).__name__.lower() if owner is not None else getattr(stage, "__name__", "stage")


def _drain(ended: threading.Event) -> None:
    """Wait for the last stage. One Ctrl-C may arrive as two signals: only a later one gives the files up."""
    begun = time.monotonic()
    while not ended.is_set():
        try:
            ended.wait()
        except KeyboardInterrupt:
            if time.monotonic() - begun > _SAME_CTRL_C_S:
                raise


def _join(threads: Sequence[threading.Thread]) -> None:
    """Give the threads time to end; one that a source holds is left behind."""
    until = time.monotonic() + _LEFT_AFTER_S
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
        if thread.is_alive():
            _log.warning("the %s does not end: its thread is left behind", thread.name)

"""Runs the stages of a stream, each on its thread, while the caller's thread waits and may be interrupted."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from edgerecon.core.errors import EdgereconError, first_line
from edgerecon.stream.process.guarded import GuardedThread

_LOOK_EVERY_S = 0.25
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
        _start(threads)
        while not _wait(threads, ended, give_up):
            if on_progress:
                on_progress()
        if on_progress:
            on_progress()
    except KeyboardInterrupt:
        interrupted = True
    finally:
        if not ended.is_set():
            stop.set()
        if threads[-1].ident is None:  # the others would wait for it
            give_up()
            ended.set()
        _drain(threads, ended, give_up)
        _join([thread for thread in threads if thread.ident is not None])
    return interrupted, [f"the {one.name} failed: {_why(one)}" for one in threads if one.failure or one.vanished]


def _start(threads: Sequence[GuardedThread]) -> None:
    """Raises EdgereconError when there is no room for as many threads."""
    for thread in threads:
        try:
            thread.start()
        except (RuntimeError, MemoryError) as error:
            raise EdgereconError(
                f"the stream cannot start its threads ({first_line(error)}): end other programs, or allow more threads"
            ) from error


def _wait(threads: Sequence[GuardedThread], ended: threading.Event, give_up: Callable[[], None]) -> bool:
    """Wait a little for the last stage; give up when a thread has ended without a word. Returns whether it is over."""
    if not ended.wait(_LOOK_EVERY_S) and any(thread.vanished for thread in threads):
        give_up()
        if threads[-1].vanished:
            ended.set()
    return ended.is_set()


def _why(thread: GuardedThread) -> str:
    return first_line(thread.failure) if thread.failure else "its thread ended before it had begun"


def _name(stage: Callable[[], None]) -> str:
    owner = getattr(stage, "__self__", None)
    return type(owner).__name__.lower() if owner is not None else getattr(stage, "__name__", "stage")


def _drain(threads: Sequence[GuardedThread], ended: threading.Event, give_up: Callable[[], None]) -> None:
    """Wait for the last stage. One Ctrl-C may arrive as two signals: only a later one gives the files up."""
    begun = time.monotonic()
    while not ended.is_set():
        try:
            _wait(threads, ended, give_up)
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

"""Which processors the threads of a stream run on, and before whom (Linux)."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from edgerecon.core.errors import UsageError

REALTIME = "realtime"
_REALTIME_LEVEL = 10
"""The priority among SCHED_FIFO's 1 … 99: above everything ordinary, below what drivers use."""
_LINUX_ONLY = "priority and processors of a stream can be chosen on Linux only"


@dataclass(frozen=True)
class Scheduling:
    """Priority and processors of the threads of a stream.

    Attributes:
        priority: "realtime" (SCHED_FIFO), a nice value from -20 (first) to 19, or None to leave it.
        cpus: numbers of the processors to stay on, or None for all.
    """

    priority: str | int | None = None
    cpus: Sequence[int] | None = None

    def apply(self) -> None:
        """Schedule the calling thread so; threads that it starts inherit it.

        Raises:
            UsageError: no such processor or priority, not permitted to this user, or not on Linux.
        """
        if self.priority is None and self.cpus is None:
            return
        if self.cpus is not None:
            self._apply_cpus()
        if self.priority is not None:
            self._apply_priority()

    def check(self) -> None:
        """Apply it in a thread that ends at once, so that what is wrong with it is known before the stream.

        Raises:
            UsageError: see ``apply``.
        """
        errors: list[UsageError] = []

        def attempt() -> None:
            try:
                self.apply()
            except UsageError as error:
                errors.append(error)

        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]

    def apply_cpus(self) -> None:
        """Apply the processors without the priority: for the thread that opens engines, whose threads inherit them.

        Raises:
            UsageError: see ``apply``.
        """
        Scheduling(cpus=self.cpus).apply()

    def _apply_cpus(self) -> None:
        if sys.platform != "linux":
            raise UsageError(_LINUX_ONLY)
        wanted = ",".join(map(str, self.cpus or ()))
        try:
            os.sched_setaffinity(0, self.cpus or ())
        except (OSError, ValueError) as error:
            there = ",".join(map(str, sorted(os.sched_getaffinity(0))))
            raise UsageError(f"cannot run on processors '{wanted}': this process may use {there}") from error

    def _apply_priority(self) -> None:
        if sys.platform != "linux":
            raise UsageError(_LINUX_ONLY)
        try:
            if self.priority == REALTIME:
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_REALTIME_LEVEL))
                return
            nice = int(self.priority or 0)
            if not -20 <= nice <= 19:
                raise ValueError
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
        except ValueError as error:
            raise UsageError(
                f"unknown priority '{self.priority}': give {REALTIME} or a nice value from -20 to 19"
            ) from error
        except PermissionError as error:
            raise UsageError(
                f"priority {self.priority} is not permitted: allow it with  ulimit -r {_REALTIME_LEVEL} -e 40  "
                "or  setcap cap_sys_nice+ep  on the Python interpreter"
            ) from error


def lower_priority() -> None:
    """Let the calling thread wait for others: what writes files or serves pages must not slow a stream.

    On Linux each thread has its own priority; other systems keep that of the process.
    """
    if sys.platform == "linux":
        if os.sched_getscheduler(0) != os.SCHED_OTHER:  # it was started by a stream with priority
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, max(10, min(19, os.getpriority(os.PRIO_PROCESS, thread) + 10)))


def scheduling_of(priority: str | None, cpus: str | None) -> Scheduling:
    """What the command line asks for: "realtime" or a number, and numbers with commas.

    Raises:
        UsageError: neither.
    """
    try:
        numbers = None if cpus is None else [int(text) for text in cpus.split(",")]
    except ValueError:
        raise UsageError(f"'{cpus}' are no processors: give their numbers with commas, e.g. 0,1") from None
    return Scheduling(priority, numbers)


ORDINARY = Scheduling()
"""The scheduling that threads have when none is asked for."""

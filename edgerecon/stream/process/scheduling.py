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
"""Of SCHED_FIFO's 1 … 99: above everything ordinary, below what drivers use."""


@dataclass(frozen=True)
class Standing:
    """How the threads of a stream stand among the others of the machine.

    Attributes:
        priority: "realtime" (SCHED_FIFO), a nice value from -20 (first) to 19, or None to leave it.
        cpus: numbers of the processors to stay on, or None for all.
    """

    priority: str | int | None = None
    cpus: Sequence[int] | None = None

    def take(self) -> None:
        """Give the calling thread this standing; threads that it starts inherit it.

        Raises:
            UsageError: no such processor or priority, not permitted to this user, or not on Linux.
        """
        if self.priority is None and self.cpus is None:
            return
        if sys.platform != "linux":
            raise UsageError("priority and processors of a stream can be chosen on Linux only")
        if self.cpus is not None:
            self._stay()
        if self.priority is not None:
            self._advance()

    def try_out(self) -> None:
        """Take the standing in a thread that ends at once, so that what is wrong with it is known before the stream.

        Raises:
            UsageError: see ``take``.
        """
        errors: list[UsageError] = []

        def attempt() -> None:
            try:
                self.take()
            except UsageError as error:
                errors.append(error)

        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]

    def stay_put(self) -> None:
        """Stay on the processors, without the priority: for the thread that opens engines, whose threads inherit it."""
        Standing(cpus=self.cpus).take()

    def _stay(self) -> None:
        wanted = ",".join(map(str, self.cpus or ()))
        try:
            os.sched_setaffinity(0, self.cpus or ())
        except (OSError, ValueError) as error:
            there = ",".join(map(str, sorted(os.sched_getaffinity(0))))
            raise UsageError(f"cannot run on processors '{wanted}': this process may use {there}") from error

    def _advance(self) -> None:
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


def chosen(priority: str | None, cpus: str | None) -> Standing:
    """From the command line: "realtime" or a number, and numbers with commas.

    Raises:
        UsageError: neither.
    """
    try:
        numbers = None if cpus is None else [int(text) for text in cpus.split(",")]
    except ValueError:
        raise UsageError(f"'{cpus}' are no processors: give their numbers with commas, e.g. 0,1") from None
    return Standing(priority, numbers)


ORDINARY = Standing()
"""What threads have when nothing is asked for."""

"""What a service tells systemd: ready, alive, stopping (sd_notify(3), without its library)."""

from __future__ import annotations

import logging
import os
import socket
import time
from typing import Protocol

_log = logging.getLogger(__name__)


def notify(state: str) -> None:
    """Send e.g. "READY=1" to the service manager; nothing happens when there is none."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address or not hasattr(socket, "AF_UNIX"):
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
    except OSError as error:
        _log.warning("systemd cannot be told %s: %s", state, error)


def watchdog_period_s() -> float | None:
    """Half of the time after which systemd restarts a silent service (WatchdogSec=); None when it does not watch us."""
    microseconds, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not microseconds.isdecimal() or not int(microseconds) or pid != str(os.getpid()):
        return None
    return int(microseconds) / 2e6


class Progress(Protocol):
    """How many frames came in, and how many of them have had their fate: ``Counters``, or the sum of several."""

    @property
    def frames_in(self) -> int:
        """Frames that came in so far."""
        ...

    @property
    def settled(self) -> int:
        """Frames whose fate is known: presented, dropped or failed."""
        ...


class Service:
    """Tells systemd READY once, and that we live for as long as frames that came in also get their fate.

    A source that gives no frames is no reason to restart us: then none is on its way.
    """

    def __init__(self) -> None:
        self._period_s = watchdog_period_s()
        self._ready = False
        self._fed_s = 0.0
        self._settled = -1

    def beat(self, counters: Progress) -> None:
        """Call several times in the watchdog's period."""
        if not self._ready:
            self._ready = True
            notify("READY=1")
        if self._period_s is None or time.monotonic() - self._fed_s < self._period_s:
            return
        settled = counters.settled
        if settled != self._settled or settled == counters.frames_in:
            self._settled, self._fed_s = settled, time.monotonic()
            notify("WATCHDOG=1")

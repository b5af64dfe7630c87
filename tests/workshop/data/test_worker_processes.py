"""Processes beside this one: Ctrl-C is not theirs."""

from __future__ import annotations

import signal
from concurrent.futures import ProcessPoolExecutor

from edgerecon.workshop.data.processes import processes_without_interrupts


def test_they_do_not_hear_ctrl_c_and_this_one_still_does() -> None:
    before = signal.getsignal(signal.SIGINT)
    with ProcessPoolExecutor(1, processes_without_interrupts()) as pool:
        assert pool.submit(signal.getsignal, signal.SIGINT).result(60) == signal.SIG_IGN
        assert pool.submit(signal.raise_signal, signal.SIGINT).result(60) is None
    assert signal.getsignal(signal.SIGINT) is before

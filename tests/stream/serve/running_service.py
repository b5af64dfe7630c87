"""A service of streams that runs while a test asks it, and its configurations."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from edgerecon.stream.serve.config import ServeConfig
from edgerecon.stream.serve.ledger import Look
from edgerecon.stream.serve.local import start_locally
from edgerecon.stream.serve.supervisor import Supervisor
from edgerecon.stream.sources.base import Capture
from tests.support.stream_fakes import ListSource, ramp

FRAMES = 60
SIM = "sim://?size=32x32&fps=100"


def config(*tables: dict[str, Any]) -> ServeConfig:
    return ServeConfig.model_validate({"stream": tables})


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.005)


def list_source(items: list[Capture | Exception] | None = None) -> ListSource:
    return ListSource(items if items is not None else [*ramp(FRAMES)])


class Served:
    """A supervisor in a thread of its own, whose configuration may be changed."""

    def __init__(self, first: ServeConfig, make: Any) -> None:
        self.supervisor = Supervisor(make, drain_s=10)
        self.config: ServeConfig | Exception = first
        self.stop, self.reload = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.supervisor.run, args=(first, self._reread, self.stop, self.reload))
        self.thread.start()

    def _reread(self) -> ServeConfig:
        if isinstance(self.config, Exception):
            raise self.config
        return self.config

    def change(self, to: ServeConfig | Exception) -> None:
        self.config = to
        self.reload.set()
        until(lambda: not self.reload.is_set())

    def presented(self, *names: str) -> bool:
        looks = self.supervisor.looks()
        return all(name in looks and looks[name].tally.presented > 0 for name in names)

    def end(self) -> dict[str, Look]:
        self.stop.set()
        self.thread.join(60)
        assert not self.thread.is_alive()
        return self.supervisor.looks()


@contextmanager
def running(first: ServeConfig) -> Iterator[Served]:
    with start_locally() as make:
        one = Served(first, make)
        try:
            yield one
        finally:
            one.end()


_PORTS = iter(range(20_000 + 500 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]), 32_000))
"""Below those that a kernel hands out, and others in each process of a run: nobody takes one before it is used."""


def free_port() -> int:
    for port in _PORTS:
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def asked(port: int, path: str) -> tuple[int, Any]:
    """Status and JSON of an answer; (0, {}) while nobody serves."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
    except urllib.error.URLError:
        return 0, {}

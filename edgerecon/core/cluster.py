"""Work spread over the machines of a Ray cluster, as ``map`` spreads it over nothing: the same results, in order.

Every machine needs edgerecon of the same version; files stay here, since what a job needs travels with it. A job that
dies with its machine is done again on another.
"""

from __future__ import annotations

import functools
import logging
import os
import re
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from edgerecon.core import __version__
from edgerecon.core.errors import EdgereconError, UsageError, first_line, needed

T = TypeVar("T")
R = TypeVar("R")

RETRIES = 3
"""How often a job is done again when the machine that did it is lost."""
_PATIENCE_S = 5.0


class Spread(Protocol):
    """``map``, or what stands for it. job: a function of a module, or a partial of one; items: what pickle takes."""

    def __call__(self, job: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]: ...


@contextmanager
def spread_over(address: str | None) -> Iterator[Spread]:
    """``map`` over the cluster at an address; None: ``map`` itself, here.

    Args:
        address: "auto" for the cluster that runs on this machine, HOST:PORT, or ray://HOST:PORT for its client port.

    Raises:
        UsageError: another form of address. EdgereconError: nothing answers there, the cluster failed, or a job did.
        DependencyError: ray is not installed.
    """
    if address is None:
        yield map
        return
    with connected(address) as ray:
        yield functools.partial(_spread, ray)


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """The ``ray`` module, connected to the cluster at an address. Raises as ``spread_over`` does."""
    ray = _connect(address)
    try:
        yield ray
    finally:
        ray.shutdown()


def _connect(address: str) -> Any:
    match = re.fullmatch(r"auto|(?:ray://)?([^/\s]+):(\d{1,5})", address)
    if not match:
        raise UsageError(f"--ray is auto, HOST:PORT or ray://HOST:PORT, not '{address}'")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing of ours calls home
    with needed("cluster", "ray"):
        import ray
    try:
        if match[1]:  # ray itself would try for minutes
            socket.create_connection((match[1].strip("[]"), int(match[2])), _PATIENCE_S).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise EdgereconError(f"cannot reach the Ray cluster at '{address}' ({reason}): is it running?") from None
    return ray


def _spread(ray: Any, job: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]:
    """Results in the order of the items, some of which are taken ahead to keep every core busy."""
    task = ray.remote(num_cpus=1, max_retries=RETRIES, scheduling_strategy="SPREAD")(_run)
    shared = ray.put(job)
    ahead = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
    waiting: deque[Any] = deque()
    upcoming = iter(items)
    try:
        while True:
            for item in upcoming:
                waiting.append(task.remote(__version__, shared, item))
                if len(waiting) >= ahead:
                    break
            if not waiting:
                return
            yield _result(ray, waiting.popleft())
    finally:
        for late in waiting:
            ray.cancel(late)


def _run(version: str, job: Callable[[T], R], item: T) -> R:
    if version != __version__:
        raise EdgereconError(f"a machine of the cluster has edgerecon {__version__}, not {version}: install the same")
    return job(item)


def _result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, EdgereconError):
            raise error.cause from None
        raise EdgereconError(f"a job failed on the cluster: {_last_line(error)}") from None
    except ray.exceptions.RayError as error:
        raise EdgereconError(f"the Ray cluster failed ({first_line(error)}): run it again") from None


def _last_line(error: Exception) -> str:
    """Of a traceback that came from afar: what was raised."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()

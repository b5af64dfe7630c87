"""Whether one of our own engines is the fastest for a model on this host: measured at first use, and remembered.

A file in the cache keeps the answers, one for each model, precision, number of threads, processor and version of either
side. Where it cannot be written, the next process measures again.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from edgerecon.core import __version__
from edgerecon.core.cache import cache_folder
from edgerecon.core.errors import EdgereconError
from edgerecon.core.files import write
from edgerecon.core.json import parse
from edgerecon.engines.backend import Backend
from edgerecon.engines.base import Engine
from edgerecon.hardware.host import host_profile
from edgerecon.measure.timing import interleave, ratio
from edgerecon.modelfile.file import ModelFile

SHAPE = (256, 256)
SECONDS, LEAST_ROUNDS = 0.4, 8
REMEMBERED = "fastest.json"
_log = logging.getLogger(__name__)

Open = Callable[[Backend], Engine]


def open_fastest(own: Backend, other: Backend, file: ModelFile, threads: int, opened: Open) -> Engine:
    """The faster one of two runtimes, opened; its spec says why.

    Args:
        own: is measured. other: takes over where ``own`` refuses the model or fails; a line in the log says why.
        opened: opens a runtime for the file.

    Raises:
        What ``opened`` raises for ``other``.
    """
    try:
        ours = opened(own)
    except EdgereconError as error:
        _log.info("%s; backend %s takes over", error, other.name)
        return opened(other)
    key = _key(own, other, file, threads, ours.spec.precision)
    known = _remembered()
    theirs: Engine | None = None
    if key not in known:
        theirs = opened(other)
        try:
            known[key] = speed(ours, theirs)
        except EdgereconError as error:
            _log.warning("%s; backend %s takes over", error, other.name)
            ours.close()
            return theirs
        _remember(known)
    factor = known[key]
    won = factor > 1
    winner, loser = (ours, theirs) if won else (theirs or opened(other), ours)
    if loser:
        loser.close()
    beaten = other.name if won else own.name
    why = f"{factor if won else 1 / factor:.2g}× as fast as {beaten} here, measured at first use"
    winner.spec = replace(winner.spec, why=why)
    return winner


def speed(ours: Engine, theirs: Engine) -> float:
    """How many times as fast as ``theirs`` ours is: median over rounds that both share, wall time.

    Raises:
        EngineError: one of them fails.
    """
    frame = np.random.default_rng(0).random(SHAPE, dtype=np.float32)
    runs = {}
    for name, engine in (("ours", ours), ("theirs", theirs)):
        out = np.array(engine.run(frame))
        runs[name] = lambda engine=engine, out=out: engine.run(frame, out)
    times = interleave(runs, seconds=SECONDS, at_least=LEAST_ROUNDS, at_most=200)
    return ratio(times["theirs"], times["ours"])


def _key(own: Backend, other: Backend, file: ModelFile, threads: int, precision: str) -> str:
    host = {name: host_profile()[name] for name in ("cpu", "cpu_features", "packages")}
    model = hashlib.sha256(file.content).hexdigest()
    facts = [__version__, own.name, other.name, model, precision, threads, host]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _remembered() -> dict[str, float]:
    try:
        found = parse((cache_folder() / REMEMBERED).read_text(encoding="utf-8"))
        return {str(key): float(value) for key, value in found.items() if float(value) > 0}
    except (OSError, ValueError, TypeError, AttributeError):  # absent or damaged: measured anew
        return {}


def _remember(known: dict[str, float]) -> None:
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        write(cache_folder() / REMEMBERED, json.dumps(known, indent=1).encode())
    except (OSError, EdgereconError) as error:
        _log.info("%s: which engine is the fastest is measured again next time", error)

"""``edgerecon fit``: the best quality that holds a deadline on this host, proven by streaming it.

Two stages. All candidates are timed side by side for a moment, which ranks them; then the most promising are streamed
through the real loop at the real frame rate, best quality first, until one holds the deadline at p99. Its streamed p99
is the prediction: back-to-back timing is not one, since a paced stream meets cold caches and threads that have to wake.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgerecon.deploy.candidates import Candidate, find_candidates
from edgerecon.device import host_profile
from edgerecon.errors import DataError, GateError, UsageError
from edgerecon.frame import to_unit
from edgerecon.latency.timing import interleave
from edgerecon.resources import resource_dir
from edgerecon.stream.loop import stream
from edgerecon.stream.sinks.null import NullSink
from edgerecon.stream.sources import open_source
from edgerecon.stream.sources.base import Capture

SHAPE = (512, 512)
PERIOD_S = 1 / 30
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Requirement:
    """What is asked for. deadline_ms: at p99, from capture to presentation. min_ssim, min_gcnr: None asks nothing."""

    deadline_ms: float
    min_ssim: float | None = None
    min_gcnr: float | None = None

    def allows(self, candidate: Candidate) -> bool:
        """Whether its recorded quality suffices; an unknown figure does not."""
        pairs = ((candidate.ssim, self.min_ssim), (candidate.gcnr, self.min_gcnr))
        return all(least is None or value >= least for value, least in pairs)


@dataclass(frozen=True)
class Tried:
    """A candidate and its times. ms: p50 back to back. streamed_p99_ms: None when it was not streamed."""

    candidate: Candidate
    ms: float
    streamed_p99_ms: float | None = None


@dataclass
class Fit:
    """Every candidate, cheapest first; the choice, None when nothing holds; the Pareto front by (ms, SSIM)."""

    requirement: Requirement
    shape: tuple[int, int]
    tried: list[Tried]
    chosen: Tried | None
    front: list[Tried]
    host: dict[str, object] = field(default_factory=host_profile)

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        return {
            "requirement": asdict(self.requirement),
            "shape": list(self.shape),
            "chosen": self.chosen and _plain(self.chosen),
            "predicted_p99_ms": self.chosen and self.chosen.streamed_p99_ms,
            "front": [_plain(one) for one in self.front],
            "candidates": [_plain(one) for one in self.tried],
            "host": self.host,
        }


def fit(
    requirement: Requirement,
    *,
    task: str = "despeckle",
    models: Path | None = None,
    shape: tuple[int, int] = SHAPE,
    seconds: float = 10.0,
    on_progress: Progress | None = None,
) -> Fit:
    """Search the trained files of a task × runtimes × threads on this host.

    Args:
        models: folder of ONNX files; default: those that ship. shape: (height, width) of the frames.
        seconds: how long a promising candidate is streamed.

    Raises:
        UsageError: a requirement that makes no sense. DataError: no model of the task.
        GateError: no candidate has the quality asked for (says by how much).
    """
    if not 0 < requirement.deadline_ms < math.inf:
        raise UsageError(f"the deadline must be above 0 ms, not {requirement.deadline_ms}")
    progress = on_progress or (lambda what, done, total: None)
    found = find_candidates(models or resource_dir("export"), task)
    allowed = [one for one in found if requirement.allows(one)]
    if not allowed:
        raise GateError(_too_much_asked(requirement, found))
    frames = _frames(shape)
    tried = _time(allowed, frames[0], progress)
    order = sorted(tried, key=lambda one: (-_quality(one.candidate), one.ms))
    chosen = None
    for done, one in enumerate(hopeful := [o for o in order if o.ms < requirement.deadline_ms]):
        progress("streaming", done, len(hopeful))
        streamed = replace(one, streamed_p99_ms=_stream_p99(one.candidate, frames, requirement.deadline_ms, seconds))
        tried[tried.index(one)] = streamed
        if streamed.streamed_p99_ms is not None and streamed.streamed_p99_ms <= requirement.deadline_ms:
            chosen = streamed
            break
    return Fit(requirement, shape, sorted(tried, key=lambda one: one.ms), chosen, pareto(tried))


def pareto(tried: Sequence[Tried]) -> list[Tried]:
    """Those that nothing beats in time and quality at once, fastest first."""
    front: list[Tried] = []
    for one in sorted(tried, key=lambda one: (one.ms, -_quality(one.candidate))):
        if not front or _quality(one.candidate) > _quality(front[-1].candidate):
            front.append(one)
    return front


def _quality(candidate: Candidate) -> float:
    return candidate.ssim if math.isfinite(candidate.ssim) else -1.0


def _time(candidates: Sequence[Candidate], frame: np.ndarray, progress: Progress) -> list[Tried]:
    unit = to_unit(frame)
    with ExitStack() as stack:
        runs = {}
        for index, candidate in enumerate(candidates):
            engine = stack.enter_context(closing(candidate.open()))
            out = np.array(engine.run(unit))
            runs[str(index)] = lambda engine=engine, out=out: engine.run(unit, out)
        times = interleave(runs, seconds=20, at_least=10, at_most=200,
                           on_round=lambda done, total: progress("timing side by side", done, total))  # fmt: skip
    return [Tried(one, times[str(i)].summary()["p50"]) for i, one in enumerate(candidates)]


def _stream_p99(candidate: Candidate, frames: list[np.ndarray], deadline_ms: float, seconds: float) -> float | None:
    with closing(candidate.open()) as engine:
        report = stream(_Cine(frames), engine, [NullSink()], deadline_ms=deadline_ms, loop=True, seconds=seconds)
    # A frame that was dropped or failed was never on time: with more than 1 % of them there is no p99.
    return report.latency_ms["p99"] if report.dropped + report.failed <= 0.01 * report.frames_in else None


class _Cine:
    """The built-in cine, resized, at 30 frames a second."""

    live: bool = False
    name = "sample"
    period_s: float | None = PERIOD_S
    spacing_mm: tuple[float, float] | None = None

    def __init__(self, frames: list[np.ndarray]) -> None:
        self._frames = frames
        self.length: int | None = len(frames)

    def frames(self) -> Iterator[Capture]:
        return map(Capture, self._frames)

    def close(self) -> None: ...


def _frames(shape: tuple[int, int]) -> list[np.ndarray]:
    with closing(open_source("sample")) as source:
        images = [capture.image for capture in source.frames() if capture.image is not None]
    if not images:
        raise DataError("the built-in sample cannot be read: reinstall pydicom")
    return [cv2.resize(image, shape[::-1], interpolation=cv2.INTER_AREA) for image in images]


def _too_much_asked(requirement: Requirement, found: Sequence[Candidate]) -> str:
    asked = []
    for name, least in (("ssim", requirement.min_ssim), ("gcnr", requirement.min_gcnr)):
        values = [getattr(one, name) for one in found if math.isfinite(getattr(one, name))]
        if least is not None:
            best = f"the best of {len(found)} candidates reaches {max(values):.3f}" if values else "no model states it"
            asked.append(f"{name} ≥ {least:g} is asked for, {best}")
    return "; ".join(asked) + ": ask for less, or train a larger network"


def _plain(one: Tried) -> dict[str, Any]:
    facts = asdict(one.candidate) | {"model": one.candidate.path.stem}
    facts.pop("path")
    facts |= {"p50_ms": one.ms, "streamed_p99_ms": one.streamed_p99_ms}
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in facts.items()
    }

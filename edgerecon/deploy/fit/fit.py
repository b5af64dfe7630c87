"""``edgerecon fit``: the best quality that holds a deadline on this host, proven by streaming it.

Three stages. All candidates are timed side by side for a moment, which ranks them; then the most promising are streamed
through the real loop at the real frame rate, best quality first, until one holds the deadline at p99. Its streamed p99
is the prediction: back-to-back timing is not one, since a paced stream meets cold caches and threads that have to wake.
Last, shapes that nobody trained are timed too, and the largest that would hold as well is streamed and named: whether
it would be better is not known before it is trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgerecon.core.errors import GateError, UsageError
from edgerecon.core.frame import to_unit
from edgerecon.core.json import plain
from edgerecon.core.shipped import resource_dir
from edgerecon.deploy.fit.candidates import Candidate, find_candidates
from edgerecon.deploy.fit.proof import sample_frames, stream_p99
from edgerecon.deploy.fit.untrained import untrained
from edgerecon.hardware.device import host_profile
from edgerecon.measure.timing import interleave
from edgerecon.modelfile.file import read_model

SHAPE = (512, 512)
WAYS = 2
"""Of each file, so many of its fastest runtimes and thread counts are streamed at most."""
UNTRAINED = 3
"""So many untrained shapes are streamed at most: they cost time that does not decide."""
_FLOAT, _INT = ("fp32", "bf16"), ("int8", "int16")
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
class TimedCandidate:
    """A candidate and its times. ms: p50 back to back. streamed_p99_ms: None when it was not streamed, infinite when
    the stream lost more than 1 % of the frames.
    """

    candidate: Candidate
    ms: float
    streamed_p99_ms: float | None = None


@dataclass
class Fit:
    """What a search found.

    Attributes:
        tried: every candidate, fastest first. chosen: None when nothing holds. front: the Pareto front by (ms, SSIM).
        untrained: shapes that nobody trained, fastest first; their quality is unknown.
        larger: the one of them with the most arithmetic that was seen to hold too; it has more than the choice.
    """

    requirement: Requirement
    shape: tuple[int, int]
    tried: list[TimedCandidate]
    chosen: TimedCandidate | None
    front: list[TimedCandidate]
    untrained: list[TimedCandidate] = field(default_factory=list)
    larger: TimedCandidate | None = None
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
            "untrained": [_plain(one) for one in self.untrained],
            "larger": self.larger and _plain(self.larger),
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
    """Search width × depth × pruning × precision × runtime × threads on this host, for one task.

    Widths, depths and pruning are those of the files in the folder; only what is trained can be chosen.

    Args:
        models: folder of ONNX files, or one file, whose task it then is; default: those that ship.
        shape: (height, width) of the frames.
        seconds: how long a promising candidate is streamed.

    Raises:
        UsageError: a requirement that makes no sense. DataError: no model of the task.
        GateError: no candidate has the quality asked for (says by how much).
    """
    if not 0 < requirement.deadline_ms < math.inf:
        raise UsageError(f"the deadline must be above 0 ms, not {requirement.deadline_ms}")
    progress = on_progress or (lambda what, done, total: None)
    if models is not None and models.is_file():
        task = read_model(models).spec.task
    found = find_candidates(models or resource_dir("export"), task)
    allowed = [one for one in found if requirement.allows(one)]
    if not allowed:
        raise GateError(_too_much_asked(requirement, found))
    frames = sample_frames(shape)
    streamed = _Streaming(frames, requirement.deadline_ms, seconds, progress)
    tried = _time(allowed, frames[0], 20, progress)
    chosen = streamed.first_that_holds(_hopeful(tried, requirement.deadline_ms))
    tried = streamed.into(tried)
    with TemporaryDirectory(prefix="edgerecon-fit-") as folder:
        shapes = untrained(found, _fastest_ways(tried), Path(folder))
        extra = _time(shapes, frames[0], 10, progress) if shapes else []
        larger = streamed.first_that_holds(_larger(extra, chosen, requirement.deadline_ms))
    return Fit(requirement, shape, tried, chosen, pareto(tried), streamed.into(extra), larger)


class _Streaming:
    """Streams candidates and remembers what came of it."""

    def __init__(self, frames: list[NDArray[np.uint8]], deadline_ms: float, seconds: float, progress: Progress) -> None:
        self._frames, self._deadline_ms, self._seconds, self._progress = frames, deadline_ms, seconds, progress
        self._p99: dict[Candidate, float] = {}

    def first_that_holds(self, hopeful: Sequence[TimedCandidate]) -> TimedCandidate | None:
        for done, one in enumerate(hopeful):
            self._progress("streaming", done, len(hopeful))
            p99 = stream_p99(one.candidate, self._frames, self._deadline_ms, self._seconds)
            self._p99[one.candidate] = p99
            if p99 <= self._deadline_ms:
                return replace(one, streamed_p99_ms=p99)
        return None

    def into(self, tried: Sequence[TimedCandidate]) -> list[TimedCandidate]:
        """With what was streamed, fastest first."""
        filled = [replace(one, streamed_p99_ms=self._p99.get(one.candidate)) for one in tried]
        return sorted(filled, key=lambda one: one.ms)


def _hopeful(tried: Sequence[TimedCandidate], deadline_ms: float) -> list[TimedCandidate]:
    """What may hold, best quality first; of each file its fastest ways only."""
    of_file: dict[Path, list[TimedCandidate]] = {}
    for one in sorted(tried, key=lambda one: one.ms):
        of_file.setdefault(one.candidate.path, []).append(one)
    kept = [one for ways in of_file.values() for one in ways[:WAYS] if one.ms < deadline_ms]
    return sorted(kept, key=lambda one: (-_quality(one.candidate), one.ms))


def _fastest_ways(tried: Sequence[TimedCandidate]) -> list[Candidate]:
    """The runtime and threads for untrained shapes: those of the fastest candidate in float, and in int8."""
    every = [[one for one in tried if one.candidate.precision in kind] for kind in (_FLOAT, _INT)]
    return [min(some, key=lambda one: one.ms).candidate for some in every if some]


def _larger(
    shapes: Sequence[TimedCandidate], chosen: TimedCandidate | None, deadline_ms: float
) -> list[TimedCandidate]:
    """Untrained shapes with more arithmetic than the choice that may hold, judging by its p99, the largest first."""
    if chosen is None or chosen.streamed_p99_ms is None:
        return []
    slower = max(1.0, chosen.streamed_p99_ms / chosen.ms)
    able = [one for one in shapes if one.candidate.macs > chosen.candidate.macs and one.ms * slower <= deadline_ms]
    return sorted(able, key=lambda one: (-one.candidate.macs, one.ms))[:UNTRAINED]


def pareto(tried: Sequence[TimedCandidate]) -> list[TimedCandidate]:
    """Those that nothing beats in time and quality at once, fastest first."""
    front: list[TimedCandidate] = []
    for one in sorted(tried, key=lambda one: (one.ms, -_quality(one.candidate))):
        if not front or _quality(one.candidate) > _quality(front[-1].candidate):
            front.append(one)
    return front


def _quality(candidate: Candidate) -> float:
    return candidate.ssim if math.isfinite(candidate.ssim) else -1.0


def _time(
    candidates: Sequence[Candidate], frame: NDArray[np.uint8], seconds: float, progress: Progress
) -> list[TimedCandidate]:
    unit = to_unit(frame)
    with ExitStack() as stack:
        runs = {}
        for index, candidate in enumerate(candidates):
            engine = stack.enter_context(closing(candidate.open()))
            out = np.array(engine.run(unit))
            runs[str(index)] = lambda engine=engine, out=out: engine.run(unit, out)
        times = interleave(
            runs,
            seconds=seconds,
            at_least=10,
            at_most=200,
            on_round=lambda done, total: progress("timing side by side", done, total),
        )
    return [TimedCandidate(one, times[str(i)].summary()["p50"]) for i, one in enumerate(candidates)]


def _too_much_asked(requirement: Requirement, found: Sequence[Candidate]) -> str:
    asked = []
    for name, least in (("ssim", requirement.min_ssim), ("gcnr", requirement.min_gcnr)):
        values = [getattr(one, name) for one in found if math.isfinite(getattr(one, name))]
        if least is not None:
            best = f"the best of {len(found)} candidates reaches {max(values):.3f}" if values else "no model states it"
            asked.append(f"{name} ≥ {least:g} is asked for, {best}")
    return "; ".join(asked) + ": ask for less, or train a larger network"


def _plain(one: TimedCandidate) -> dict[str, Any]:
    facts = asdict(one.candidate) | {"model": one.candidate.path.stem}
    facts.pop("path")
    facts |= {"p50_ms": one.ms, "streamed_p99_ms": one.streamed_p99_ms}
    return dict(plain(facts))

"""What a stream did: every frame's fate, and latency by stage."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from edgerecon.core.errors import first_line
from edgerecon.core.files import write
from edgerecon.engines.base import EngineSpec
from edgerecon.stream.loop.capture import Capturer
from edgerecon.stream.loop.present import Presenter

Percentiles = dict[str, "float | None"]
"""Milliseconds; None when nothing was measured."""

_COUNTS = (
    "clock_faults",
    "delivered_late",
    "hung",
    "replaced",
    "stalls",
    "steps_down",
    "steps_up",
    "sinks_lost",
    "sinks_back",
)


@dataclass
class StreamReport:
    """The machine-readable result of one stream.

    Latency runs from capture (the source had the frame) until the last sink had taken it, over presented frames;
    percentiles are within 1 %, the maximum is exact, nothing is left out as warm-up (the engine ran on two blank
    frames before the first capture).

    Attributes:
        frames_in, presented, dropped, failed: ``frames_in == presented + dropped + failed``.
        late, raw_shown: of the presented frames, those over the deadline, and those shown as captured.
        fps: presented frames a second, from the first capture to the last presentation.
        deadline_ms: from capture to presentation.
        deadline_miss_rate: (late + dropped + failed) / frames_in - a frame that never came has missed it too.
        latency_ms: p50, p90, p99, p999, max.
        stages_ms: p50 and p99 of capture (delivery by a recording, before the capture time, and the wait for
            the engine), preprocess, infer and postprocess (reconstructed frames only), present (the wait for the sinks,
            and the sinks); of channel data also demodulate, beamform and detect, which are part of the delivery.
        engine: backend, precision, threads; why, where "auto" chose between two that it had measured.
        models: of several models one after the other, each: name, backend, precision, threads. Its times are those of
            its name in ``stages_ms``.
        model, source: names. strength: of the model at the end, from 0 to 1; None where it has none.
        host: see ``edgerecon.hardware.device.host_profile``.
        drops, failures, raws: how many were dropped, failed and shown raw, by reason.
        gaps: frames that were lost before they reached us; they are in none of the counts above.
        counts: what else was counted, see ``Counters``: clock_faults, delivered_late, hung, replaced, stalls,
            steps_down, steps_up, sinks_lost, sinks_back, trace_skipped.
        skips: frames that a sink on a thread of its own was too slow for, by sink.
        ladder: names of the engines from the best to "passthrough"; rung: which of them ran at the end.
        interrupted: ended by Ctrl-C or by the caller's stop event.
        error: what ended the stream early or was lost on the way (a source or sink that failed), and what engines and
            frames raised that nothing may raise, such as SystemExit; or None.
        latency_histogram: ``edges_ms`` and ``counts`` (one fewer), for plotting.
    """

    frames_in: int
    presented: int
    dropped: int
    late: int
    failed: int
    raw_shown: int
    fps: float
    deadline_ms: float
    deadline_miss_rate: float
    latency_ms: Percentiles
    stages_ms: dict[str, Percentiles]
    engine: dict[str, object]
    model: str
    source: str
    host: dict[str, object]
    drops: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    raws: dict[str, int] = field(default_factory=dict)
    gaps: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    skips: dict[str, int] = field(default_factory=dict)
    ladder: list[str] = field(default_factory=list)
    rung: int = 0
    interrupted: bool = False
    error: str | None = None
    latency_histogram: dict[str, list[float]] = field(default_factory=dict)
    models: list[dict[str, object]] = field(default_factory=list)
    strength: float | None = None

    def to_json(self) -> dict[str, object]:
        """A plain dict of what JSON knows."""
        return asdict(self)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the JSON file.

        Raises:
            EdgereconError: the path cannot be written.
        """
        write(Path(path), (json.dumps(self.to_json(), indent=2, allow_nan=False) + "\n").encode())


def make_report(
    capturer: Capturer, presenter: Presenter, engine: EngineSpec | None, interrupted: bool, failures: Sequence[str]
) -> StreamReport:
    """What the threads of a stream have counted and measured. ``failures``: of stages."""
    from edgerecon.hardware.device import host_profile

    info, latency = presenter.info, presenter.latency
    counters = info.counters
    elapsed_s = (presenter.finished_ns - capturer.started_ns) / 1e9
    missed = counters.late + counters.dropped + counters.failed
    trace_skipped = presenter.wires.trace.skipped if presenter.wires.trace else 0
    return StreamReport(
        frames_in=counters.frames_in,
        presented=counters.presented,
        dropped=counters.dropped,
        late=counters.late,
        failed=counters.failed,
        raw_shown=counters.raw_shown,
        fps=counters.presented / elapsed_s if counters.presented else 0.0,
        deadline_ms=info.deadline_ms,
        deadline_miss_rate=missed / counters.frames_in if counters.frames_in else 0.0,
        latency_ms={name: latency.percentile(q) for name, q in (("p50", 50), ("p90", 90), ("p99", 99), ("p999", 99.9))}
        | {"max": latency.max_ms},
        stages_ms={
            stage: {"p50": times.percentile(50), "p99": times.percentile(99)}
            for stage, times in presenter.stages.items()
        },
        engine={"backend": info.backend, "precision": info.precision, "threads": engine.threads if engine else 0}
        | ({"why": info.why} if info.why else {}),
        model=info.model,
        source=info.source,
        host=host_profile(),
        drops=dict(counters.drops),
        failures=dict(counters.failures),
        raws=dict(counters.raws),
        gaps=counters.gaps,
        counts={name: getattr(counters, name) for name in _COUNTS} | {"trace_skipped": trace_skipped},
        skips=dict(counters.skips),
        ladder=list(counters.ladder),
        rung=counters.rung,
        interrupted=interrupted,
        error=_error(capturer, presenter, interrupted, failures),
        latency_histogram=latency.bars(),
        models=[_part(one) for one in (engine.parts if engine else ())],
        strength=info.controls.strength if info.controls else None,
    )


def _part(spec: EngineSpec) -> dict[str, object]:
    return {
        "model": spec.model.name,
        "backend": spec.backend,
        "precision": spec.precision,
        "threads": spec.threads,
    }


def _error(capturer: Capturer, presenter: Presenter, interrupted: bool, failures: Sequence[str]) -> str | None:
    name, counters = presenter.info.source, presenter.info.counters
    errors = [*failures, *counters.errors, *presenter.fanout.failures]
    if capturer.error is not None:
        errors.insert(0, f"{name} failed: {first_line(capturer.error)}")
    elif counters.presented == 0 and not interrupted and not failures and not presenter.fanout.all_lost:
        why = max(counters.failures, key=counters.failures.__getitem__, default="")
        errors.insert(0, f"no frame of {name} could be shown{f': {why}' if why else ''}")
    return "; ".join(errors) or None

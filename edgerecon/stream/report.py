"""What a stream did: every frame's fate, and latency by stage."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from edgerecon.errors import SinkError

Percentiles = dict[str, "float | None"]
"""Milliseconds; None when nothing was measured."""


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
        stages_ms: p50 and p99 of capture (delivery by the source, before the capture time, and the wait for the
            engine), preprocess, infer and postprocess (reconstructed frames only), present (the wait for the sinks,
            and the sinks).
        engine: backend, precision, threads.
        model, source: names.
        host: see ``edgerecon.device.host_profile``.
        drops, failures: how many by reason.
        interrupted: ended by Ctrl-C or by the caller's stop event.
        error: what ended the stream early or was lost on the way (a source or sink that failed), or None.
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
    interrupted: bool = False
    error: str | None = None
    latency_histogram: dict[str, list[float]] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """A plain dict of what JSON knows."""
        return asdict(self)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the JSON file.

        Raises:
            SinkError: the path cannot be written.
        """
        target = Path(path)
        part = target.with_name(f".{target.name}.part")
        try:
            part.write_text(json.dumps(self.to_json(), indent=2, allow_nan=False) + "\n")
            os.replace(part, target)
        except OSError as error:
            raise SinkError(f"cannot write {target}: {error.strerror or error}") from error

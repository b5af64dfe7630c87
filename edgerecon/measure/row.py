"""One line of every table that compares models, precisions and runtimes: speed and image quality side by side."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

OK = "ok"


@dataclass(frozen=True)
class Row:
    """What one engine did.

    Attributes:
        model: file stem. backend, precision, threads: of the engine. task: what the model is for, e.g. "despeckle".
        shape: (height, width) that was timed.
        latency_ms: see ``timing.Timing.summary``. speed: times as fast as the reference row, within the same rounds.
        psnr_db, ssim: on scenes with targets; quality: who says so, "held out" (measured by this engine) or "record"
            (of the file), "" for nobody or elsewhere. gcnr: on real frames. max_abs_error, ssim_to_fp32: against the
            fp32 file on real frames, grey levels in [0, 1]. mean_shift: change of the mean grey level. size_kb: of the
            file.
        speed_interval: 95 % of ``speed``. to_best: times longer than the fastest row that is ok, with interval.
        stages_ms: stage → {p50, p99}: prepare, engine and postprocess of the end-to-end time; where a GPU copies, also
            to_device, compute and to_host, taken by themselves.
        memory_mb: resident, of the row's own process with its runtime.
        cdf_ms: percentiles 0, 1, … 100 of the latency.
        startup_ms: from the start of that process to its first frame's end. joules: a frame, as the host counts it.
        gops, mbytes: 10⁹ operations and 10⁶ bytes of a frame, counted from the graph, a multiply-accumulate being two.
        floor_ms: what this host's measured peak rate and bandwidth allow for them at best.
        status: "ok", or why the row failed or was refused. note: what else a reader has to know.
    """

    model: str
    backend: str
    precision: str
    threads: int
    shape: tuple[int, int]
    latency_ms: dict[str, float] = field(default_factory=dict)
    speed: float = math.nan
    psnr_db: float = math.nan
    ssim: float = math.nan
    gcnr: float = math.nan
    max_abs_error: float = math.nan
    mean_shift: float = math.nan
    size_kb: float = math.nan
    speed_interval: tuple[float, float] | None = None
    to_best: tuple[float, float, float] | None = None
    stages_ms: dict[str, dict[str, float]] = field(default_factory=dict)
    cdf_ms: tuple[float, ...] = ()
    memory_mb: float = math.nan
    startup_ms: float = math.nan
    joules: float = math.nan
    floor_ms: float = math.nan
    gops: float = math.nan
    mbytes: float = math.nan
    status: str = OK
    note: str = ""
    task: str = ""
    quality: str = ""
    ssim_to_fp32: float = math.nan

    @property
    def ok(self) -> bool:
        """Whether it ran and passed its gates."""
        return self.status == OK

    @property
    def name(self) -> str:
        """As a sentence calls it, e.g. "int8 on openvino"."""
        return f"{self.precision} on {self.backend}"

    def to_json(self) -> dict[str, Any]:
        """Plain values; what was not measured is None; fps is that of one frame after another."""
        plain = asdict(self)
        plain["fps"] = 1e3 / self.latency_ms["p50"] if self.latency_ms else None
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in plain.items()}

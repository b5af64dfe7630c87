"""One line of every table that compares models, precisions and runtimes: speed, image quality and cost side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

OK = "ok"
Record = TypeVar("Record")


@dataclass(frozen=True)
class Setup:
    """What ran.

    Attributes:
        model: file stem. backend, precision, threads: of the engine. shape: (height, width) of the frames.
        task: what the model is for, e.g. "despeckle".
    """

    model: str
    backend: str
    precision: str
    threads: int
    shape: tuple[int, int]
    task: str = ""


@dataclass(frozen=True)
class Speed:
    """How long a frame took.

    Attributes:
        latency_ms: see ``timing.Timing.summary``; empty when it was not timed. cdf_ms: its percentiles 0, 1, … 100.
        stages_ms: stage → {p50, p99}: prepare, engine and postprocess of the end-to-end time; where a GPU copies, also
            to_device, compute and to_host, taken by themselves.
        relative: times as fast as the reference row, within the same rounds. interval: 95 % of it.
        to_best: times longer than the fastest row that is ok, with interval.
    """

    latency_ms: dict[str, float] = field(default_factory=dict)
    stages_ms: dict[str, dict[str, float]] = field(default_factory=dict)
    cdf_ms: tuple[float, ...] = ()
    relative: float = field(default=math.nan, metadata={"json": "speed"})
    interval: tuple[float, float] | None = field(default=None, metadata={"json": "speed_interval"})
    to_best: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Quality:
    """What the pictures are worth.

    Attributes:
        psnr_db, ssim: on scenes with targets. source: who says so, "held out" (measured by this engine) or "record" (of
            the file), "" for nobody or elsewhere.
        gcnr: on real frames. max_abs_error, ssim_to_fp32: against the fp32 file on real frames, grey levels in [0, 1].
        mean_shift: change of the mean grey level.
    """

    psnr_db: float = math.nan
    ssim: float = math.nan
    source: str = field(default="", metadata={"json": "quality"})
    gcnr: float = math.nan
    max_abs_error: float = math.nan
    mean_shift: float = math.nan
    ssim_to_fp32: float = math.nan


@dataclass(frozen=True)
class Cost:
    """What it takes beside the time of a frame.

    Attributes:
        size_kb: of the file. memory_mb: resident, of the row's own process with its runtime.
        startup_ms: from the start of that process to its first frame's end. joules: a frame, as the host counts it.
        gops, mbytes: 10⁹ operations and 10⁶ bytes of a frame, counted from the graph, a multiply-accumulate being two.
        floor_ms: what this host's measured peak rate and bandwidth allow for them at best.
    """

    size_kb: float = math.nan
    memory_mb: float = math.nan
    startup_ms: float = math.nan
    joules: float = math.nan
    gops: float = math.nan
    mbytes: float = math.nan
    floor_ms: float = math.nan


@dataclass(frozen=True)
class Row:
    """What one engine did.

    Attributes:
        status: "ok", or why the row failed or was refused. note: what else a reader has to know.
    """

    setup: Setup
    speed: Speed = field(default_factory=Speed)
    quality: Quality = field(default_factory=Quality)
    cost: Cost = field(default_factory=Cost)
    status: str = OK
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether it ran and passed its gates."""
        return self.status == OK

    @property
    def name(self) -> str:
        """As a sentence calls it, e.g. "int8 on openvino"."""
        return f"{self.setup.precision} on {self.setup.backend}"

    def to_json(self) -> dict[str, Any]:
        """Plain values, flat; what was not measured is None; fps is that of one frame after another."""
        latency = self.speed.latency_ms
        plain = {key: getattr(part, name) for part in self._parts() for name, key in _keys(type(part)).items()}
        plain |= {"status": self.status, "note": self.note, "fps": 1e3 / latency["p50"] if latency else None}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in plain.items()}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Row:
        """The row of which ``to_json`` made this, whether or not it has been through a file."""
        setup, speed, quality, cost = (
            _part(Setup, plain),
            _part(Speed, plain),
            _part(Quality, plain),
            _part(Cost, plain),
        )
        return cls(setup, speed, quality, cost, plain["status"], plain.get("note", ""))

    def _parts(self) -> tuple[Setup, Speed, Quality, Cost]:
        return self.setup, self.speed, self.quality, self.cost


def _keys(kind: type) -> dict[str, str]:
    """Attribute → key in the JSON."""
    return {one.name: one.metadata.get("json", one.name) for one in fields(kind)}


def _part(kind: type[Record], plain: Mapping[str, Any]) -> Record:
    known = {name: plain[key] for name, key in _keys(kind).items() if plain.get(key) is not None}
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in known.items()})

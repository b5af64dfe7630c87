"""Joules, as far as the host counts them.

RAPL's package domains (Linux powercap), NVIDIA GPUs' own counters (NVML), and the INA3221 power monitors of a Jetson,
whose power is sampled and integrated. They hold whole packages, boards and modules, their idle share included.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread
from typing import Protocol

from edgerecon.hardware.sensors import sysfs
from edgerecon.hardware.sensors.nvml import NvidiaGpu, nvidia_gpus

SAMPLE_S = 0.02
WHOLE = "VDD_IN"
"""The rail of a whole Jetson module, Orin Nano and NX, Xavier NX; the AGX modules' is the sum of what they have."""
WITHIN = ("VDDQ_VDD2_1V8AO", "NC")
"""An AGX Orin's memory is fed by VIN_SYS_5V0, which is counted; NC is not connected."""


class Counter(Protocol):
    """Joules that only grow."""

    @property
    def name(self) -> str:
        """As tables call it."""

    def joules(self) -> float | None:
        """Since some moment; None when it stopped telling."""


class Meter:
    """All of the host's counters.

    Attributes:
        sources: what is counted, e.g. ["RAPL package-0"]; empty where the host tells nothing.
        missing: what could be counted, and what to do.
    """

    def __init__(self) -> None:
        self.missing: list[str] = []
        self._counters: list[Counter] = [*self._rapl(), *self._nvml(), *_jetson()]
        self.sources = [counter.name for counter in self._counters]

    def spent(self, work: Callable[[], None]) -> float | None:
        """Joules while ``work`` ran, which should take a second: NVML renews its counters ten times in one.

        None where the host tells nothing, or stopped telling. What ``work`` raises passes through.
        """
        before, done = self._joules(), Event()
        sampler = Thread(target=self._sample, args=(done,), name="energy", daemon=True)
        sampler.start()
        try:
            work()
        finally:
            done.set()
            sampler.join()
        after = self._joules()
        return None if before is None or after is None else after - before

    def _sample(self, done: Event) -> None:
        """Power is integrated over what is read here, and counters are seen before they start again twice."""
        while not done.wait(SAMPLE_S):
            self._joules()

    def _joules(self) -> float | None:
        read = [counter.joules() for counter in self._counters]
        told = [joules for joules in read if joules is not None]
        return sum(told) if read and len(told) == len(read) else None

    def _rapl(self) -> Iterator[Counter]:
        for folder in sysfs.found("sys/class/powercap/*-rapl:*"):
            # Not its parts (two colons), nor the whole platform ("psys"), which holds the packages once more.
            if not re.fullmatch(r"[a-z]+-rapl:\d+", folder.name) or not sysfs.text(folder / "name").startswith("pack"):
                continue
            energy = folder / "energy_uj"
            if (start := sysfs.integer(energy)) is None:
                self.missing.append(f"RAPL is here, but only root may read {energy}")
            else:
                yield Rapl(folder, start)

    def _nvml(self) -> Iterator[Counter]:
        if find_spec("pynvml") is None and shutil.which("nvidia-smi"):
            self.missing.append("an NVIDIA GPU is here, but its sensors take the package nvidia-ml-py")
        for gpu in nvidia_gpus():
            if gpu.joules() is None:
                self.missing.append(f"{gpu.name} does not count its energy")
            else:
                yield Board(gpu)


@dataclass
class Rapl:
    """One package; its counter starts again at its range, which a busy server reaches in minutes."""

    folder: Path
    last: int
    total: int = 0

    @property
    def name(self) -> str:
        """E.g. "RAPL package-0"."""
        return f"RAPL {sysfs.text(self.folder / 'name')}"

    def joules(self) -> float | None:
        """See ``Counter``."""
        now, limit = sysfs.integer(self.folder / "energy_uj"), sysfs.integer(self.folder / "max_energy_range_uj")
        if now is None or (now < self.last and not limit):
            return None
        self.total += now - self.last + (limit or 0 if now < self.last else 0)
        self.last = now
        return self.total / 1e6


@dataclass(frozen=True)
class Board:
    """One NVIDIA GPU."""

    gpu: NvidiaGpu

    @property
    def name(self) -> str:
        """E.g. "NVML GPU 0"."""
        return f"NVML {self.gpu.name}"

    def joules(self) -> float | None:
        """See ``Counter``."""
        return self.gpu.joules()


@dataclass
class Rails:
    """Supplies of a Jetson: (label, file of millivolts, file of milliamperes) each; power by the trapezoidal rule."""

    rails: list[tuple[str, Path, Path]]
    total: float = 0.0
    last: tuple[float, float] | None = field(default=None)

    @property
    def name(self) -> str:
        """E.g. "INA3221 VDD_IN"."""
        return f"INA3221 {' + '.join(label for label, *_ in self.rails)}"

    def joules(self) -> float | None:
        """See ``Counter``."""
        read = [(sysfs.integer(volts), sysfs.integer(amperes)) for _, volts, amperes in self.rails]
        now, watts = time.monotonic(), 0.0
        for millivolts, milliamperes in read:
            if millivolts is None or milliamperes is None:
                return None
            watts += millivolts * milliamperes / 1e6
        if self.last is not None:
            self.total += (now - self.last[0]) * (watts + self.last[1]) / 2
        self.last = now, watts
        return self.total


def _jetson() -> list[Counter]:
    rails = []
    for label in sysfs.found("sys/class/hwmon/hwmon*/in[1-3]_label"):
        folder, channel, name = label.parent, label.name[2], sysfs.text(label)
        volts, amperes = folder / f"in{channel}_input", folder / f"curr{channel}_input"
        read = None not in (sysfs.integer(volts), sysfs.integer(amperes))  # a channel may be switched off
        if sysfs.text(folder / "name") == "ina3221" and name not in WITHIN and read:
            rails.append((name, volts, amperes))
    rails = [rail for rail in rails if rail[0] == WHOLE] or rails
    return [Rails(rails)] if rails else []

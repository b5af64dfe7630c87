"""What the host tells of energy and of what changes it: joules, clocks, temperatures, throttling, power mode.

Counters: RAPL's package domains (Linux powercap), an NVIDIA GPU's own (NVML, where ``pynvml`` is installed), and the
INA power monitors of a Jetson, whose power is integrated. They hold the whole package or board, idle share included.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_POWERCAP = Path("/sys/class/powercap")
_HWMON = Path("/sys/class/hwmon")
_CPU = Path("/sys/devices/system/cpu/cpu0")
_THERMAL = Path("/sys/class/thermal")


class Meter:
    """Joules since some moment, added up over every counter that can be read.

    Attributes:
        sources: what is counted, e.g. ["RAPL package-0"]; empty where the host tells nothing.
    """

    def __init__(self) -> None:
        self._counters = [*_rapl(), *_nvml(), *_ina()]
        self.sources = [name for name, _ in self._counters]

    def joules(self) -> float | None:
        """None where the host tells nothing, or stopped telling."""
        try:
            return sum(read() for _, read in self._counters) if self._counters else None
        except (OSError, ValueError):
            return None


Counter = tuple[str, Callable[[], float]]


def _rapl() -> list[Counter]:
    found: list[Counter] = []
    for folder in sorted(_POWERCAP.glob("*-rapl:[0-9]")):
        if os.access(folder / "energy_uj", os.R_OK):
            found.append((f"RAPL {_text(folder / 'name')}", _unwrapped(folder)))
    return found


def _unwrapped(folder: Path) -> Callable[[], float]:
    """The counter starts again at its range; reads are minutes apart at most, its range is an hour's."""
    limit = int(_text(folder / "max_energy_range_uj") or 0)
    state = [int(_text(folder / "energy_uj")), 0]

    def read() -> float:
        now = int(_text(folder / "energy_uj"))
        state[1] += now - state[0] + (limit if now < state[0] else 0)
        state[0] = now
        return state[1] / 1e6

    return read


def _nvml() -> list[Counter]:
    if find_spec("pynvml") is None:
        return []
    import pynvml

    try:
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        for handle in handles:
            pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:
        return []
    return [
        (f"NVML GPU {i}", lambda handle=handle: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3)  # type: ignore[misc]
        for i, handle in enumerate(handles)
    ]


def _ina() -> list[Counter]:
    """A Jetson's ina3221: the channel of the whole module, in microwatts or as volts × amperes."""
    found: list[Counter] = []
    for folder in sorted(_HWMON.glob("hwmon*")):
        if not _text(folder / "name").startswith("ina"):
            continue
        for label in sorted(folder.glob("in*_label")):
            channel = label.name[2:-6]
            if _text(label).upper() in ("VDD_IN", "VIN_SYS_5V0", "POM_5V_IN"):
                found.append((f"INA {_text(label)}", _integrated(folder, channel)))
    return found


def _integrated(folder: Path, channel: str) -> Callable[[], float]:
    def watts() -> float:
        return int(_text(folder / f"in{channel}_input")) * int(_text(folder / f"curr{channel}_input")) / 1e6

    state = [time.monotonic(), watts(), 0.0]

    def read() -> float:
        now, power = time.monotonic(), watts()
        state[2] += (now - state[0]) * (power + state[1]) / 2
        state[:2] = now, power
        return state[2]

    return read


def conditions() -> dict[str, Any]:
    """Clock, governor, temperatures, throttling and power mode, as far as the host tells them."""
    found: dict[str, Any] = {}
    if clock := _text(_CPU / "cpufreq/scaling_cur_freq"):
        found["cpu_mhz"] = round(int(clock) / 1e3)
    if governor := _text(_CPU / "cpufreq/scaling_governor"):
        found["governor"] = governor
    if throttled := _text(_CPU / "thermal_throttle/package_throttle_count"):
        found["throttle_count"] = int(throttled)
    zones = {_text(z / "type"): _text(z / "temp") for z in sorted(_THERMAL.glob("thermal_zone*"))}
    if heat := {name: int(value) / 1e3 for name, value in zones.items() if value.lstrip("-").isdigit()}:
        found["celsius"] = heat
    if mode := _power_mode():
        found["power_mode"] = mode
    return found


def _power_mode() -> str:
    """Of a Jetson."""
    if shutil.which("nvpmodel") is None:
        return ""
    try:
        said = subprocess.run(["nvpmodel", "-q"], capture_output=True, text=True, timeout=5, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    return next((line.partition(":")[2].strip() for line in said.splitlines() if "Power Mode" in line), "")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""

"""What changes a host's speed, as far as it tells: clocks, temperatures, throttling and power mode."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

from edgerecon.hardware.sensors import sysfs
from edgerecon.hardware.sensors.nvml import nvidia_gpus

Told = dict[str, Any]
NOT_TOLD = "not told by this host"
CPU = "sys/devices/system/cpu/cpu"


def conditions() -> Told:
    """Those that the host tells: mhz, celsius and throttle_reasons (by part), throttle_counts (since the host was
    started), governor, power_mode (by who sets it)."""
    found: Told = {
        "mhz": _cpu_mhz(),
        "celsius": _temperatures(),
        "throttle_counts": _throttle_counts(),
        "throttle_reasons": _cooling(),
        "power_mode": _power_modes(),
        "governor": sysfs.text(sysfs.ROOT / f"{CPU}0/cpufreq/scaling_governor"),
    }
    for folder in sysfs.found("sys/class/devfreq/*"):
        hertz = sysfs.integer(folder / "cur_freq")
        if hertz is not None and re.search(r"gpu|g[vap]1\db", folder.name):  # a Jetson's
            found["mhz"]["GPU"] = round(hertz / 1e6)
    for gpu in nvidia_gpus():
        asked = {"mhz": gpu.mhz(), "celsius": gpu.celsius(), "throttle_reasons": gpu.throttled()}
        for what, value in asked.items():
            if value is not None:
                found[what][gpu.name] = value
        if (limit := gpu.limit_w()) is not None:
            found["power_mode"][gpu.name] = f"limit {limit:.0f} W"
    return {what: value for what, value in found.items() if value}


def _cpu_mhz() -> dict[str, float]:
    clocks = [sysfs.integer(p) for p in sysfs.found(f"{CPU}[0-9]*/cpufreq/scaling_cur_freq")]
    told = [clock for clock in clocks if clock]
    return {"fastest core": round(max(told) / 1e3)} if told else {}


def _temperatures() -> dict[str, float]:
    """°C; the hottest of those with one name. Sensors that are off tell temperatures from nowhere."""
    heat: dict[str, float] = {}
    places = [(sysfs.text(zone / "type"), zone / "temp") for zone in sysfs.found("sys/class/thermal/thermal_zone*")]
    places += [
        (sysfs.text(folder / "name"), folder / "temp1_input") for folder in sysfs.found("sys/class/hwmon/hwmon*")
    ]
    for name, path in places:
        value = sysfs.integer(path)
        sensor = path.name == "temp" or name in ("coretemp", "k10temp")
        if sensor and name and value is not None and -40_000 < value < 150_000:
            heat[name] = max(heat.get(name, -40.0), value / 1e3)
    return heat


def _throttle_counts() -> dict[str, int]:
    """Of x86 packages, and of the over-current and under-voltage events of a Jetson."""
    packages = sysfs.found(f"{CPU}[0-9]*/thermal_throttle/package_throttle_count")
    found = {"CPU too hot": max((sysfs.integer(path) or 0 for path in packages), default=-1)}
    for path in sysfs.found("sys/class/hwmon/hwmon*/oc[0-9]_event_cnt"):
        count = sysfs.integer(path)
        found[f"module over-current or under-voltage (event {path.name[2]})"] = -1 if count is None else count
    return {what: count for what, count in found.items() if count >= 0}


def _cooling() -> dict[str, str]:
    """What the kernel slows down at this moment since it is too hot."""
    clocks = re.compile("cpufreq|devfreq|Processor")
    found = [
        (sysfs.text(place / "type"), sysfs.integer(place / "cur_state"))
        for place in sysfs.found("sys/class/thermal/cooling_device*")
    ]
    told = [(kind, step) for kind, step in found if step is not None and clocks.search(kind)]
    slowed = sorted({kind for kind, step in told if step})
    return {"kernel": f"too hot: {', '.join(slowed)}" if slowed else "none"} if told else {}


def _power_modes() -> dict[str, str]:
    modes = {"nvpmodel": _nvpmodel(), "firmware": sysfs.text(sysfs.ROOT / "sys/firmware/acpi/platform_profile")}
    return {who: mode for who, mode in modes.items() if mode}


def _nvpmodel() -> str:
    """A Jetson's mode by name; from the files that the tool keeps where it is absent or refuses."""
    if shutil.which("nvpmodel"):
        try:
            said = subprocess.run(["nvpmodel", "-q"], capture_output=True, text=True, timeout=5, check=False).stdout
        except (OSError, subprocess.SubprocessError):
            said = ""
        if found := re.search(r"NV Power Mode:\s*(\S+)", said):
            return found[1]
    status = re.search(r"pmode:0*(\d+)", sysfs.text(sysfs.ROOT / "var/lib/nvpmodel/status"))
    if not status:
        return ""
    models = sysfs.text(sysfs.ROOT / "etc/nvpmodel.conf")
    name = re.search(rf"POWER_MODEL\s+ID=0*{status[1]}\s+NAME=(\S+)", models)
    return name[1] if name else f"mode {status[1]}"


def facts(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(what, in words) of a bench's JSON: energy, clock, temperature, throttling and power mode, told or not."""
    told = result["conditions"]
    before, after = told["before"], told["after"]
    during = told.get("during") or after
    energy = ", ".join(result["energy_sources"]) or NOT_TOLD
    clocks = _each(during.get("mhz"), "{:.0f} MHz")
    governor = f", governor {during['governor']}" if "governor" in during else ""
    heat, cold = during.get("celsius") or {}, before.get("celsius") or {}
    grown = f"; before the bench at most {max(cold.values()):.0f} °C" if heat and cold else ""
    return [
        ("energy", "; ".join([energy, *result.get("energy_missing", [])])),
        ("clock while timing", (clocks or NOT_TOLD) + governor),
        ("temperature while timing", (_each(heat, "{:.0f} °C") or NOT_TOLD) + grown),
        ("throttling", _throttling(before, during, after)),
        ("power mode", _each(_named(during.get("power_mode")), "{}") or NOT_TOLD),
    ]


def _throttling(before: Told, during: Told, after: Told) -> str:
    counts, earlier = after.get("throttle_counts"), before.get("throttle_counts") or {}
    reasons = during.get("throttle_reasons")
    if counts is None and reasons is None:
        return NOT_TOLD
    parts = [
        f"{part}: {count - earlier.get(part, count)} times"
        for part, count in (counts or {}).items()
        if count > earlier.get(part, count)
    ]
    parts += [f"{part}: {why}" for part, why in (reasons or {}).items() if why != "none"]
    return ", ".join(parts) or "none seen"


def _each(values: Mapping[str, Any] | None, form: str) -> str:
    return ", ".join(f"{name} {form.format(value)}" for name, value in (values or {}).items())


def _named(mode: Any) -> Mapping[str, Any]:
    return mode if isinstance(mode, Mapping) else {}

"""Energy and conditions against made-up sysfs trees and a made-up NVML: what hosts tell, and what they fail to tell."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgerecon.hardware.sensors import conditions as conditions_module
from edgerecon.hardware.sensors import energy, sysfs
from edgerecon.hardware.sensors.conditions import NOT_TOLD, conditions, facts
from edgerecon.hardware.sensors.energy import Meter


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A host that tells nothing: no files, no tools, no NVML."""
    monkeypatch.setattr(sysfs, "ROOT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(energy, "find_spec", lambda name: None)
    return tmp_path


def write(root: Path, files: dict[str, object]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n", encoding="ascii")


def package(root: Path, zone: str, name: str, energy_uj: object, **more: object) -> Path:
    folder = f"sys/class/powercap/{zone}"
    write(root, {f"{folder}/{key}": value for key, value in ({"name": name, "energy_uj": energy_uj} | more).items()})
    return root / folder / "energy_uj"


def test_a_host_that_tells_nothing_breaks_nothing() -> None:
    meter = Meter()
    assert (meter.sources, meter.missing, meter.spent(lambda: None), conditions()) == ([], [], None, {})
    told = facts({"conditions": {"before": {}, "during": {}, "after": {}}, "energy_sources": []})
    assert [said for _, said in told] == [NOT_TOLD] * 5


def test_packages_are_added_and_may_start_again(root: Path) -> None:
    first = package(root, "intel-rapl:0", "package-0", 4_000_000, max_energy_range_uj=5_000_000)
    second = package(root, "intel-rapl:11", "package-1-die-0", 0, max_energy_range_uj=5_000_000)
    package(root, "intel-rapl:0:0", "core", 0)
    package(root, "intel-rapl:1", "psys", 0)
    package(root, "intel-rapl-mmio:0", "package-0", 0)
    meter = Meter()
    assert meter.sources == ["RAPL package-0", "RAPL package-1-die-0"]

    def work() -> None:
        first.write_text("1000000")  # once around: 1 J to the end, 1 J more
        second.write_text("3000000")

    assert meter.spent(work) == pytest.approx(2.0 + 3.0)
    assert meter.spent(lambda: None) == 0.0


def test_a_package_that_only_root_may_read_says_so(root: Path) -> None:
    unreadable = package(root, "intel-rapl:0", "package-0", 1)
    unreadable.unlink()
    unreadable.mkdir()  # root, who may run this, can read any file but no folder
    meter = Meter()
    assert meter.sources == [] and meter.missing == [f"RAPL is here, but only root may read {unreadable}"]


@pytest.mark.parametrize("content", ["", "garbage", "3"])
def test_a_counter_that_stops_telling_ends_in_nothing(root: Path, content: str) -> None:
    """Its file is empty, holds anything, or goes backwards without a range to start again from."""
    path = package(root, "intel-rapl:0", "package-0", 7)
    assert Meter().spent(lambda: path.write_text(content) and None) is None


def test_what_the_work_raises_passes_through(root: Path) -> None:
    package(root, "intel-rapl:0", "package-0", 7)
    with pytest.raises(ZeroDivisionError):
        Meter().spent(lambda: 1 / 0 and None)


def monitor(root: Path, number: int, rails: dict[str, tuple[object, object]], name: str = "ina3221") -> None:
    folder = f"sys/class/hwmon/hwmon{number}"
    write(root, {f"{folder}/name": name, f"{folder}/in7_label": "sum of shunt voltages", f"{folder}/in7_input": 9})
    for channel, (label, (volts, amperes)) in enumerate(rails.items(), 1):
        write(
            root,
            {
                f"{folder}/in{channel}_label": label,
                f"{folder}/in{channel}_input": volts,
                f"{folder}/curr{channel}_input": amperes,
            },
        )


class Clock:
    """Each look at it is half a second later."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        self.now += 0.5
        return self.now


def test_a_modules_power_is_integrated(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "time", Clock())
    monkeypatch.setattr(energy, "SAMPLE_S", 60.0)
    monitor(root, 1, {"VDD_IN": (5000, 2000), "VDD_CPU_GPU_CV": (5000, 700), "VDD_SOC": (5000, 400)})
    meter = Meter()
    assert meter.sources == ["INA3221 VDD_IN"]
    # 10 W rise to 30 W within half a second.
    draw = root / "sys/class/hwmon/hwmon1/curr1_input"
    assert meter.spent(lambda: draw.write_text("6000") and None) == pytest.approx(0.5 * (10 + 30) / 2)
    assert meter.spent(lambda: None) == pytest.approx(0.5 * 30)
    (root / "sys/class/hwmon/hwmon1/in1_input").unlink()
    assert meter.spent(lambda: None) is None


def test_power_is_sampled_while_the_work_runs(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "SAMPLE_S", 0.001)
    monitor(root, 1, {"VDD_IN": (5000, 2000)})
    reads: list[Path] = []
    original = sysfs.integer
    monkeypatch.setattr(sysfs, "integer", lambda path: (reads.append(path), original(path))[1])

    def work() -> None:
        while len(reads) < 40:
            pass

    assert (Meter().spent(work) or 0) > 0


def test_an_agx_module_is_the_sum_of_its_rails(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "time", Clock())
    monkeypatch.setattr(energy, "SAMPLE_S", 60.0)
    monitor(root, 2, {"VDD_GPU_SOC": (20000, 500), "VDD_CPU_CV": (20000, 250), "VIN_SYS_5V0": (5000, 1000)})
    monitor(root, 3, {"NC": (0, 0), "VDDQ_VDD2_1V8AO": (5000, 300), "OFF": ("", "")})
    monitor(root, 4, {"VDD_IN": (5000, 1000)}, name="ina226")  # of a carrier board
    meter = Meter()
    assert meter.sources == ["INA3221 VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0"]
    assert meter.spent(lambda: None) == pytest.approx(0.5 * (10 + 5 + 5))


class NvmlError(Exception):
    """``pynvml.NVMLError``."""


def fake_nvml(boards: list[dict[str, Any]], **more: Any) -> SimpleNamespace:
    """``pynvml`` for boards that answer what they hold and refuse the rest; ``more`` replaces functions."""

    def ask(key: str) -> Any:
        def answer(board: dict[str, Any], *constants: object) -> Any:
            if key not in board:
                raise NvmlError("Not Supported")
            return board[key]

        return answer

    questions = {
        "nvmlDeviceGetTotalEnergyConsumption": "mj",
        "nvmlDeviceGetClockInfo": "mhz",
        "nvmlDeviceGetTemperature": "celsius",
        "nvmlDeviceGetCurrentClocksEventReasons": "reasons",
        "nvmlDeviceGetEnforcedPowerLimit": "mw",
    }
    return SimpleNamespace(
        **(
            {
                "NVMLError": NvmlError,
                "NVML_CLOCK_SM": 1,
                "NVML_TEMPERATURE_GPU": 0,
                "nvmlInit": lambda: None,
                "nvmlDeviceGetCount": lambda: len(boards),
                "nvmlDeviceGetHandleByIndex": lambda index: boards[index],
                **{function: ask(key) for function, key in questions.items()},
            }
            | more
        )
    )


def test_nvidia_gpus_tell_what_they_know(monkeypatch: pytest.MonkeyPatch) -> None:
    boards = [{"mhz": 300}, {"mj": 5000, "mhz": 1980, "celsius": 61, "reasons": 0x1 | 0x4 | 0x40, "mw": 700_000}]
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(boards))
    meter = Meter()
    assert meter.sources == ["NVML GPU 1"] and meter.missing == ["GPU 0 does not count its energy"]
    assert meter.spent(lambda: boards[1].update(mj=7500)) == pytest.approx(2.5)
    assert meter.spent(lambda: boards[1].pop("mj") and None) is None
    assert conditions() == {
        "mhz": {"GPU 0": 300, "GPU 1": 1980},
        "celsius": {"GPU 1": 61},
        "throttle_reasons": {"GPU 1": "power cap, thermal slowdown by hardware"},
        "power_mode": {"GPU 1": "limit 700 W"},
    }


def test_older_bindings_call_reasons_by_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    older = fake_nvml([{}], nvmlDeviceGetCurrentClocksThrottleReasons=lambda board: 0x1)
    del older.nvmlDeviceGetCurrentClocksEventReasons
    monkeypatch.setitem(sys.modules, "pynvml", older)
    assert conditions() == {"throttle_reasons": {"GPU 0": "none"}}


def lost(*_: object) -> None:
    raise NvmlError("GPU is lost")


@pytest.mark.parametrize("broken", ["nvmlInit", "nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex"])
def test_a_driver_that_fails_is_as_none(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml([{"mj": 1}], **{broken: lost}))
    assert Meter().sources == [] and conditions() == {}


def test_a_gpu_without_its_binding_says_what_to_install(root: Path) -> None:
    write(root, {"bin/nvidia-smi": ""})
    (root / "bin/nvidia-smi").chmod(0o755)
    assert Meter().missing == ["an NVIDIA GPU is here, but its sensors take the package nvidia-ml-py"]


def test_a_pc_tells_its_conditions(root: Path) -> None:
    cpu, thermal = "sys/devices/system/cpu/cpu", "sys/class/thermal/"
    write(
        root,
        {
            f"{cpu}0/cpufreq/scaling_cur_freq": 1_200_000,
            f"{cpu}1/cpufreq/scaling_cur_freq": 3_400_000,
            f"{cpu}2/cpufreq/scaling_cur_freq": "<unknown>",
            f"{cpu}0/cpufreq/scaling_governor": "powersave",
            f"{cpu}0/thermal_throttle/package_throttle_count": 3,
            f"{cpu}1/thermal_throttle/package_throttle_count": 5,
            f"{thermal}thermal_zone0/type": "acpitz",
            f"{thermal}thermal_zone0/temp": 27_800,
            f"{thermal}thermal_zone1/type": "acpitz",
            f"{thermal}thermal_zone1/temp": 41_000,
            f"{thermal}thermal_zone2/type": "off",
            f"{thermal}thermal_zone2/temp": -256_000,
            f"{thermal}cooling_device0/type": "Processor",
            f"{thermal}cooling_device0/cur_state": 0,
            f"{thermal}cooling_device1/type": "Fan",
            f"{thermal}cooling_device1/cur_state": 1,
            "sys/class/hwmon/hwmon0/name": "k10temp",
            "sys/class/hwmon/hwmon0/temp1_input": 65_500,
            "sys/class/hwmon/hwmon1/name": "nvme",
            "sys/class/hwmon/hwmon1/temp1_input": 90_000,
            "sys/firmware/acpi/platform_profile": "balanced",
        },
    )
    assert conditions() == {
        "mhz": {"fastest core": 3400},
        "governor": "powersave",
        "celsius": {"acpitz": 41.0, "k10temp": 65.5},
        "throttle_counts": {"CPU too hot": 5},
        "throttle_reasons": {"kernel": "none"},
        "power_mode": {"firmware": "balanced"},
    }


def test_a_jetson_tells_its_conditions(root: Path) -> None:
    write(
        root,
        {
            "sys/class/devfreq/17000000.gpu/cur_freq": 918_000_000,
            "sys/class/devfreq/emc/cur_freq": 1,
            "sys/class/hwmon/hwmon3/oc1_event_cnt": 0,
            "sys/class/hwmon/hwmon3/oc3_event_cnt": 37,
            "sys/class/hwmon/hwmon3/oc2_event_cnt": "",
            "sys/class/thermal/cooling_device4/type": "devfreq-17000000.gpu",
            "sys/class/thermal/cooling_device4/cur_state": 2,
            "var/lib/nvpmodel/status": "pmode:0002",
            "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\nCPU 1\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >",
        },
    )
    event = "module over-current or under-voltage (event"
    assert conditions() == {
        "mhz": {"GPU": 918},
        "throttle_counts": {f"{event} 1)": 0, f"{event} 3)": 37},
        "throttle_reasons": {"kernel": "too hot: devfreq-17000000.gpu"},
        "power_mode": {"nvpmodel": "MAXN_SUPER"},
    }


@pytest.mark.parametrize(
    ("script", "said"),
    [("echo 'NVPM WARN: no fan'; echo 'NV Power Mode: 25W'; echo 1", "25W"), ("exit 1", "mode 7"), (None, "mode 7")],
)
def test_the_power_mode_of_a_jetson(root: Path, script: str | None, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its tool; by the tool's own files when it refuses, or hangs."""
    write(root, {"bin/nvpmodel": f"#!/bin/sh\n{script or ''}", "var/lib/nvpmodel/status": "pmode:0007"})
    (root / "bin/nvpmodel").chmod(0o755)
    if script is None:

        def hang(command: list[str], timeout: float, **_: object) -> None:
            raise conditions_module.subprocess.TimeoutExpired(command, timeout)

        monkeypatch.setattr(conditions_module.subprocess, "run", hang)
    assert conditions()["power_mode"] == {"nvpmodel": said}


def test_facts_are_sentences() -> None:
    before = {"celsius": {"tj-thermal": 41.2}, "throttle_counts": {"CPU too hot": 5, "event 3": 37}}
    during = {
        "celsius": {"tj-thermal": 71.9, "GPU 0": 60},
        "mhz": {"fastest core": 3400, "GPU 0": 1980},
        "governor": "performance",
        "throttle_reasons": {"GPU 0": "power cap", "kernel": "none"},
        "power_mode": {"nvpmodel": "MAXN"},
    }
    after = {"throttle_counts": {"CPU too hot": 5, "event 3": 40}}
    missing = ["GPU 0 does not count its energy"]
    found = facts(
        {
            "conditions": {"before": before, "during": during, "after": after},
            "energy_sources": ["RAPL package-0"],
            "energy_missing": missing,
        }
    )
    assert dict(found) == {
        "energy": "RAPL package-0; GPU 0 does not count its energy",
        "clock while timing": "fastest core 3400 MHz, GPU 0 1980 MHz, governor performance",
        "temperature while timing": "tj-thermal 72 °C, GPU 0 60 °C; before the bench at most 41 °C",
        "throttling": "event 3: 3 times, GPU 0: power cap",
        "power mode": "nvpmodel MAXN",
    }
    quiet = {"throttle_counts": {"CPU too hot": 5}, "throttle_reasons": {"GPU 0": "none"}}
    same = facts({"conditions": {"before": quiet, "during": quiet, "after": quiet}, "energy_sources": []})
    assert dict(same)["throttling"] == "none seen"


def test_results_from_before_there_was_a_during_still_read() -> None:
    old = {"before": {"cpu_mhz": 3000, "throttle_count": 0, "power_mode": "MAXN"}, "after": {"power_mode": "MAXN"}}
    assert [said for _, said in facts({"conditions": old, "energy_sources": []})] == [NOT_TOLD] * 5

"""NVIDIA GPUs' own sensors (NVML API Reference) through nvidia-ml-py, which may be absent, as may each answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

REASONS = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "thermal slowdown by software",
    0x40: "thermal slowdown by hardware",
    0x80: "power brake",
}
"""nvmlClocksEventReasons that slow a GPU down unasked: idleness and clocks that somebody set do not count."""


@dataclass(frozen=True)
class NvidiaGpu:
    """One GPU; whatever it does not tell is None."""

    index: int
    nvml: Any
    handle: Any

    @property
    def name(self) -> str:
        """As tables call it."""
        return f"GPU {self.index}"

    def joules(self) -> float | None:
        """Since the driver was loaded, of the whole board; Volta and later."""
        return _scaled(self._ask(("nvmlDeviceGetTotalEnergyConsumption",)), 1e-3)

    def mhz(self) -> float | None:
        """Of the multiprocessors."""
        return self._ask(("nvmlDeviceGetClockInfo",), "NVML_CLOCK_SM")

    def celsius(self) -> float | None:
        """Of the chip."""
        return self._ask(("nvmlDeviceGetTemperature",), "NVML_TEMPERATURE_GPU")

    def limit_w(self) -> float | None:
        """Power limit in force."""
        return _scaled(self._ask(("nvmlDeviceGetEnforcedPowerLimit",)), 1e-3)

    def throttled(self) -> str | None:
        """Why it runs slower than it could; "none"."""
        asked = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")
        bits = self._ask(asked)
        return None if bits is None else ", ".join(why for bit, why in REASONS.items() if int(bits) & bit) or "none"

    def _ask(self, functions: Sequence[str], constant: str | None = None) -> Any:
        """The first function that answers: a driver, a GPU and a binding know some each."""
        for function in functions:
            try:
                arguments = () if constant is None else (getattr(self.nvml, constant),)
                return getattr(self.nvml, function)(self.handle, *arguments)
            except (self.nvml.NVMLError, AttributeError):
                continue
        return None


def nvidia_gpus() -> list[NvidiaGpu]:
    """Those of this host; none without a driver or nvidia-ml-py."""
    try:
        import pynvml
    except ImportError:
        return []
    gpus = []
    try:
        pynvml.nvmlInit()
        for index in range(pynvml.nvmlDeviceGetCount()):
            gpus.append(NvidiaGpu(index, pynvml, pynvml.nvmlDeviceGetHandleByIndex(index)))
    except pynvml.NVMLError:  # no driver, or a GPU that is lost: those before it still answer
        pass
    return gpus


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor

"""Device profiles: what a device can do, with the document behind every number (devices/*.toml)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

from edgerecon.core.config import as_json, dotted, first_fault, read_toml
from edgerecon.core.errors import DeviceError, UsageError
from edgerecon.core.shipped import resource_dir
from edgerecon.hardware.host import host_profile

__all__ = [
    "HOST",
    "DeviceProfile",
    "Fpga",
    "PowerMode",
    "Precision",
    "device_names",
    "device_table",
    "host_profile",
    "load_device",
]

HOST = "host"
"""Name of the device this process runs on."""

Precision = Literal["fp32", "fp16", "bf16", "int8"]
_LARGEST = 1e15
"""Of a profile's numbers: a thousand times the fastest device of today, in 10⁹ operations a second."""

_FORMS = {"compute_capability": (r"[0-9]+\.[0-9]+", "8.7"), "versions.python": (r"3\.[0-9]+", "3.10")}
"""Of facts in words: a regular expression, and an example."""

_STRICT = {"extra": "forbid"}


@dataclass(frozen=True)
class PowerMode:
    """A mode of nvpmodel, a class of power limit, or the only one there is.

    Attributes:
        name: as the device's own tool spells it. watts: its budget; None: no limit, or none stated.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = _STRICT
    name: str
    watts: float | None = None


@dataclass(frozen=True)
class Fpga:
    """Programmable logic: look-up tables, flip-flops, 36-kbit block RAMs, 288-kbit UltraRAMs, DSP slices; clock in MHz.

    The clock is one at which a published design runs on the board, not a limit of the part. part: as AMD's tools spell
    it. dsp_products: of int8 values, that one DSP slice gives a cycle; 1 where none are stated.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = _STRICT
    part: str | None = None
    lut: int | None = None
    ff: int | None = None
    bram36: float | None = None
    uram: int | None = None
    dsp: int | None = None
    dsp_products: Literal[1, 2] | None = None
    clock_mhz: float | None = None


@dataclass(frozen=True)
class DeviceProfile:
    """One device. What no document was found for is None or absent, never guessed.

    Attributes:
        name: file stem, or "host". title: as people call it. kind: what runs the network.
        architecture: of the GPU, CPU or FPGA. compute_capability: of an NVIDIA GPU, e.g. "8.7".
        memory_gb: of the device, shared with its CPU on a Jetson. bandwidth_gbs: of that memory, 10⁹ bytes a second.
        cores: CUDA or CPU cores. clock_mhz: the highest of those cores.
        peak: precision → 10⁹ operations a second, dense (structured sparsity is not counted), a multiply-accumulate
            being two. On NVIDIA GPUs fp32 is that of the CUDA cores (no TF32), the others that of the tensor cores
            (fp16 with fp16 accumulation where that is faster).
        per_cycle: precision → operations per core and clock cycle, for a class of CPUs that has no one peak.
        power_modes: as shipped. versions: of the last system software that supports it ("jetpack", "python", …).
        machine: its processor as ``uname -m`` has it; None for bare programmable logic.
        backends: runtimes in order of preference, as ``edgerecon.engines`` names them.
        precision: what to run on the first of them unless something else is asked for.
        sources: field ("bandwidth_gbs", "peak", "peak.int8", …) → document and place, or how it was worked out.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = _STRICT
    name: str
    title: str
    kind: Literal["gpu", "cpu", "fpga"]
    architecture: str
    compute_capability: str | None = None
    memory_gb: float | None = None
    bandwidth_gbs: float | None = None
    cores: int | None = None
    clock_mhz: float | None = None
    peak: dict[Precision, float] = field(default_factory=dict)
    per_cycle: dict[Precision, float] = field(default_factory=dict)
    power_modes: tuple[PowerMode, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    machine: Literal["aarch64", "x86_64"] | None = None
    backends: tuple[str, ...] = ()
    precision: Precision | None = None
    fpga: Fpga | None = None
    note: str = ""
    sources: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        facts = dict(self.facts())
        for key, value in facts.items():
            if isinstance(value, (int, float)) and not 0 < value <= _LARGEST:
                raise ValueError(f"{key}: give a positive number of at most {_LARGEST:g}, not {value:g}")
            form, example = _FORMS.get(key, ("", ""))
            if form and not re.fullmatch(form, str(value)):
                raise ValueError(f"{key}: it is written like {example}, not '{value}'")
            if not self.source(key):
                raise ValueError(f"{key}: name the document behind it in [sources]")
        for key in self.sources:
            if not any(fact == key or fact.startswith(key + ".") for fact in facts):
                raise ValueError(f"sources.{key}: there is no such number in the file")

    def facts(self) -> Iterator[tuple[str, float | str]]:
        """Every (dotted key, value) that needs a source: all numbers, compute capability, versions, precision."""
        for key in ("precision", "compute_capability", "memory_gb", "bandwidth_gbs", "cores", "clock_mhz"):
            if (value := getattr(self, key)) is not None:
                yield key, value
        for mode in self.power_modes:
            if mode.watts is not None:
                yield f"power_modes.{mode.name}", mode.watts
        tables: dict[str, dict[Any, Any]] = {"peak": self.peak, "per_cycle": self.per_cycle, "versions": self.versions}
        tables["fpga"] = asdict(self.fpga) if self.fpga else {}
        for table, values in tables.items():
            yield from ((f"{table}.{key}", value) for key, value in values.items() if value is not None)

    def source(self, key: str) -> str:
        """Document behind a dotted key, its own or that of its table; "" without one."""
        return self.sources.get(key) or self.sources.get(key.partition(".")[0], "")

    def to_json(self) -> dict[str, Any]:
        """Plain values; absent ones are None or empty."""
        return asdict(self)


def device_names() -> list[str]:
    """Names that ``load_device`` knows, "host" first.

    Examples:
        >>> device_names()[0], "jetson-orin-nano" in device_names()
        ('host', True)
    """
    return [HOST, *sorted(path.stem for path in resource_dir("devices").glob("*.toml"))]


def load_device(name: str) -> DeviceProfile:
    """Profile of a device.

    Args:
        name: one of ``device_names()``, or the path of a TOML file of one's own; "host" is this machine, its peak rates
            and bandwidth measured (about two seconds).

    Raises:
        UsageError: no such device. DeviceError: its file cannot be read or breaks a rule (file and key are named).

    Examples:
        >>> load_device("raspberry-pi-5").cores
        4
    """
    if name == HOST:
        return _host()
    if name.endswith(".toml"):
        return _read(Path(name).absolute())
    if name not in device_names():
        known = ", ".join(device_names())
        raise UsageError(f"no device '{name}': choose one of {known}, or give a TOML file of your own")
    return _read(resource_dir("devices") / f"{name}.toml")


def device_table(name: str | None = None) -> list[dict[str, Any]]:
    """Rows for the command line, ready for JSON.

    Args:
        name: None: one row a device of devices/, {name, title, kind, architecture, compute_capability, memory_gb,
            bandwidth_gbs, peak, power_w (the greatest budget), backends}. A name: one row a fact of that device,
            {key, value, source}.

    Raises:
        See ``load_device``.
    """
    if name is not None:
        device = load_device(name)
        return [{"key": key, "value": value, "source": device.source(key)} for key, value in device.facts()]
    return [_summary(load_device(known)) for known in device_names() if known != HOST]


def _summary(device: DeviceProfile) -> dict[str, Any]:
    keys = ("name", "title", "kind", "architecture", "compute_capability", "memory_gb", "bandwidth_gbs")
    row: dict[str, Any] = {key: getattr(device, key) for key in keys}
    watts = [mode.watts for mode in device.power_modes if mode.watts is not None]
    return row | {"peak": dict(device.peak), "power_w": max(watts, default=None), "backends": list(device.backends)}


@lru_cache(maxsize=64)
def _read(path: Path) -> DeviceProfile:
    from pydantic import TypeAdapter, ValidationError

    _, values = read_toml(path, DeviceError, str(path))
    try:
        device = TypeAdapter(DeviceProfile).validate_json(as_json(values), strict=True)
    except ValidationError as error:
        keys, reason = first_fault(error, DeviceProfile)
        raise DeviceError(": ".join(filter(None, (str(path), dotted(keys), reason)))) from None
    if device.name != path.stem:
        raise DeviceError(f"{path}: name: it is '{device.name}', make it that of the file, '{path.stem}'")
    return device


@lru_cache(maxsize=1)
def _host() -> DeviceProfile:
    """This machine. Its network runs on the GPU when there is one, but what is measured here is the CPU."""
    from edgerecon.hardware.peak import measure_host

    facts = host_profile()
    features = cast("list[str]", facts["cpu_features"])
    measured = measure_host()
    how = "measured here, see edgerecon/hardware/peak.py"
    numbers = {"memory_gb": facts["memory_gb"], "cores": facts["cores_physical"]}
    sources = {key: "read from the operating system" for key, value in numbers.items() if value is not None}
    return DeviceProfile(
        name=HOST,
        title=f"this host: {facts['cpu']}",
        kind="cpu",
        architecture=" ".join(features) or "unknown instruction set",
        memory_gb=cast("float | None", facts["memory_gb"]),
        bandwidth_gbs=measured.bandwidth_gbs,
        cores=cast("int", facts["cores_physical"]),
        peak=dict(measured.peak),
        backends=("openvino", "onnxruntime"),
        sources=sources | {"bandwidth_gbs": how, "peak": how},
    )

"""What a bundle says to the owner of a Jetson: the container base that fits, and the power modes."""

from __future__ import annotations

from collections.abc import Sequence

from edgerecon.hardware.device import DeviceProfile, PowerMode

_TAGS = {"6.0": "r36.3.0", "6.1": "r36.4.0", "6.2": "r36.4.0"}
"""JetPack → tag of nvcr.io/nvidia/l4t-jetpack (NGC catalogue). JetPack 6.2 (Jetson Linux 36.4.3 on) has no image of its
own; those of 36.4 run there. Releases: developer.nvidia.com/embedded/jetpack-archive."""
_TOO_OLD = {"4": "3.6", "5": "3.8"}
"""JetPack → Python of its TensorRT bindings, where that is older than edgerecon runs on."""


def is_jetson(device: DeviceProfile) -> bool:
    """Whether the profile names a JetPack."""
    return "jetpack" in device.versions


def container_tag(jetpack: str) -> str | None:
    """Tag of the L4T image for a JetPack such as "6.2.1", or None when none is known to run edgerecon."""
    return _TAGS.get(".".join(jetpack.split(".")[:2]))


def jetson_notes(device: DeviceProfile) -> str:
    """Markdown about container and power modes."""
    return "\n".join(["", *_container(device.versions["jetpack"]), *_power(device.power_modes)])


def _container(jetpack: str) -> list[str]:
    python = _TOO_OLD.get(jetpack.split(".")[0])
    if container_tag(jetpack):
        text = f"`Dockerfile.l4t` builds an image for JetPack {jetpack}; its first lines say how to build and run it."
    elif python:
        text = (
            f"No Dockerfile: TensorRT of JetPack {jetpack} comes for Python {python}, and edgerecon needs 3.10. "
            "Its ONNX Runtime backend runs there under a newer Python, on the CPU."
        )
    else:
        text = f"No Dockerfile: no L4T image for JetPack {jetpack} is known to this edgerecon."
    return ["## Container", "", text, ""]


def _power(modes: Sequence[PowerMode]) -> list[str]:
    """For the sources of the commands see devices/jetson/README.md; of the budgets, the profile."""
    lines = [
        "## Power modes",
        "",
        "Latency depends on the power mode and on the clocks: a deadline measured in one mode holds in that mode only.",
        "`sudo nvpmodel -p` lists the modes by number, `-q` shows the one in use and `-m NUMBER` sets it; the numbers",
        "differ by board and JetPack. `sudo jetson_clocks` then holds the clocks at the mode's maximum until a reboot.",
        "",
    ]
    if modes:
        lines += ["| mode | power budget |", "|---|---|"]
        lines += [f"| {mode.name} | {f'{mode.watts:g} W' if mode.watts else 'none stated'} |" for mode in modes]
        lines.append("")
    return lines

"""What ImageJ and OME write into the description of a TIFF: millimetres of a pixel and seconds between frames.

The tags XResolution and YResolution alone are for printers, and say nothing of what was imaged.

Sources: OME Data Model, June 2016, element Pixels; ``ij.io.TiffDecoder`` and ``ij.io.FileInfo`` of ImageJ 1.54.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import BinaryIO

from edgerecon.stream.sources.files.tiff_directory import read_description, read_resolution

_MM = {
    "mm": 1.0, "millimeter": 1.0, "cm": 10.0, "m": 1e3, "um": 1e-3, "µm": 1e-3, "μm": 1e-3, "micron": 1e-3,
    "microns": 1e-3, "nm": 1e-6, "inch": 25.4, "in": 25.4,
}  # fmt: skip
_SECONDS = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "msec": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "min": 60.0}
_NUMBER = r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?"


@dataclass(frozen=True)
class TiffScale:
    """period_s and spacing_mm (row, column) as they are stated: None where the file does not say."""

    period_s: float | None = None
    spacing_mm: tuple[float, float] | None = None


def read_scale(file: BinaryIO, offset: int) -> TiffScale:
    """Of the page whose directory lies at ``offset``.

    Raises:
        ValueError: the directory is damaged.
    """
    text = read_description(file, offset).decode("utf-8", "replace")
    if text.startswith("ImageJ="):
        return _of_imagej(text, read_resolution(file, offset))
    pixels = re.search(r"<(?:OME:)?Pixels\s[^>]*>", text)
    return TiffScale() if pixels is None else _of_ome(pixels[0])


def _of_imagej(text: str, resolution: tuple[float, float] | None) -> TiffScale:
    said = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    unit = _MM.get(said.get("unit", "").strip().replace("\\u00B5", "µ"))
    spacing = None
    if unit is not None and resolution is not None:
        spacing = unit / resolution[0], unit / resolution[1]
    interval, fps = _number(said.get("finterval")), _number(said.get("fps"))
    seconds = _SECONDS.get(said.get("tunit", "s").strip())
    period = interval * seconds if interval and seconds else 1 / fps if fps else None
    return TiffScale(period, spacing)


def _of_ome(pixels: str) -> TiffScale:
    def said(name: str) -> str | None:
        found = re.search(rf"\s{name}\s*=\s*[\"']([^\"']*)[\"']", pixels)
        return None if found is None else found[1].strip()

    steps = [
        (_number(said(f"PhysicalSize{axis}")) or 0.0) * _MM.get(said(f"PhysicalSize{axis}Unit") or "µm", 0.0)
        for axis in "YX"
    ]
    seconds = _SECONDS.get(said("TimeIncrementUnit") or "s")
    interval = _number(said("TimeIncrement"))
    period = interval * seconds if interval and seconds else None
    return TiffScale(period, (steps[0], steps[1]) if any(steps) else None)


def _number(text: str | None) -> float | None:
    """A positive number; None for anything else."""
    if text is None or not re.fullmatch(_NUMBER, text.strip()):
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value > 0 else None
